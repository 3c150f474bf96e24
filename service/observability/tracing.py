"""Whether there is tracing: decided by OpenTelemetry's standard environment, without importing it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from service.domain.log import log

if TYPE_CHECKING:
    from service.observability.traces import Parents, Telemetry

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_OURS = "http/protobuf"


def asked_for(environ: Mapping[str, str]) -> bool:
    """Whether somebody wants traces: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/"""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none":
        return False
    return any(environ.get(name) for name in _ENDPOINTS)


def telemetry(parents: Parents, environ: Mapping[str, str]) -> Telemetry | None:
    """None where it is off. What is wrong with it is a warning: purges matter more than their traces."""
    if not asked_for(environ):
        return None
    protocol = next((environ[name] for name in _PROTOCOLS if environ.get(name)), _OURS)
    if protocol != _OURS:
        log.warning("tracing.off", reason=f"spans are sent by {_OURS} alone, and the environment asks for {protocol}")
        return None
    try:
        from service.observability.traces import start
    except ImportError:
        log.warning(
            "tracing.off",
            reason="the environment names a collector, and the extra is not installed: "
            "pip install 'vercel-image-relay[otel]'",
        )
        return None
    return start(parents, environ)
