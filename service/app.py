"""The ASGI application: routes, and one JSON shape for every error."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from urllib.parse import unquote, urlsplit

from msgspec import Struct
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from service.domain.clock import Clock
from service.ingest.answers import RETRY_SECONDS, early_error, error, json_answer, retry_after
from service.ingest.endpoint import HOOKS, Endpoint, Whole
from service.ingest.intake import Intake
from service.ingest.keeper import Keeper
from service.ingest.pipeline import Pipeline
from service.ingest.ports import Inbox, Meter, Network, Tracer
from service.observability.health import Health
from service.observability.metrics import CONTENT_TYPE
from service.settings.model import Settings


class Deps(Struct, frozen=True, kw_only=True):
    """The collaborators. `wake` is told when which projects have new purges, `wake_lookups` which source has lookups;
    `keeper` is run by whoever made it; `metrics` writes Prometheus' text. Where webhooks are not taken in, they are
    answered 503."""

    pipelines: Mapping[str, Pipeline]
    settings: Settings
    inbox: Inbox
    keeper: Keeper
    network: Network
    clock: Clock
    wake: Callable[[Mapping[str, datetime]], None]
    wake_lookups: Callable[[str], None]
    health: Health
    meter: Meter
    metrics: Callable[[], Awaitable[bytes]]
    takes_in: bool = True
    tracer: Tracer | None = None


def create_app(deps: Deps) -> Application:
    """The application; it needs no lifespan, so any ASGI server or test transport can run it."""
    prefix = urlsplit(deps.settings.public_url or "").path.rstrip("/")
    hook = _endpoint(deps, prefix) if deps.takes_in else None
    endpoint = hook or _Elsewhere()
    # A proxy may pass the public path on or take it off; the longer one first, for a source may be named as it is.
    bases = tuple(dict.fromkeys((unquote(prefix), "")))
    routes = [Route(f"{base}{HOOKS}/{{source}}{key}", endpoint) for base in bases for key in ("", "/{key}")]
    probes = [
        Route("/livez", _livez),
        Route("/readyz", _readyz(deps.health)),
        Route("/metrics", _metrics(deps.metrics)),
    ]
    app = Starlette(
        routes=[*routes, *probes], exception_handlers={HTTPException: _http_error, Exception: _unexpected_error}
    )
    app.router.redirect_slashes = False  # no sender follows a redirect with its POST
    sources = {f"{base}{HOOKS}/{name}": name for base in bases for name in deps.pipelines}
    whole: dict[bytes, Whole] = {}
    if hook is not None:
        paths = {f"{base}{HOOKS}/{name}": name for base in (prefix, "") for name in deps.pipelines}
        whole = {path.encode(): hook.whole(name, path) for path, name in paths.items()}
    return Application(app, endpoint, sources, whole, (lambda: None) if hook is None else hook.tell)


class Application:
    """The ASGI application, which takes a webhook to a source's plain path straight to the endpoint: to find its route
    costs as much as to verify a signature. All else goes to Starlette's, which would answer the same.

    `hooks` are for a server that has a whole POST in its hands: what answers it, by the request line's path. `spare` is
    to be called when there is time to spare: what it does is done at another time else.
    """

    def __init__(
        self,
        app: ASGIApp,
        endpoint: ASGIApp,
        sources: Mapping[str, str],
        hooks: Mapping[bytes, Whole],
        spare: Callable[[], None],
    ) -> None:
        self.hooks = hooks
        self.spare = spare
        self._app = app
        self._endpoint = endpoint
        self._sources = sources

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        source = self._sources.get(scope["path"]) if scope["type"] == "http" else None
        if source is None:
            await self._app(scope, receive, send)
            return
        scope["path_params"] = {"source": source}
        await self._endpoint(scope, receive, send)


def _endpoint(deps: Deps, prefix: str) -> Endpoint:
    return Endpoint(
        pipelines=deps.pipelines,
        intake=Intake(
            inbox=deps.inbox,
            keeper=deps.keeper,
            network=deps.network,
            watch=deps.health,
            wake=deps.wake,
            wake_lookups=deps.wake_lookups,
        ),
        limits=deps.settings.limits,
        prefix=prefix,
        clock=deps.clock,
        meter=deps.meter,
        tracer=deps.tracer,
    )


class _Elsewhere:
    """Webhooks that came to a process that only sends: no sender may take them for delivered."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = "this process only sends purges; webhooks go to one with `--role ingest` or `all`"
        response = early_error(503, "unavailable", message, retry_after(RETRY_SECONDS))
        await response(scope, receive, send)


async def _livez(request: Request) -> Response:
    return json_answer(200, {"status": "ok"})


def _readyz(health: Health) -> Callable[[Request], object]:
    async def readyz(request: Request) -> Response:
        report = await health.check()
        status = "ok" if report.ready else "unavailable"
        document = {"status": status, "reasons": report.reasons, "warnings": report.warnings}
        return json_answer(200 if report.ready else 503, document)

    return readyz


def _metrics(exposition: Callable[[], Awaitable[bytes]]) -> Callable[[Request], object]:
    async def metrics(request: Request) -> Response:
        return Response(await exposition(), media_type=CONTENT_TYPE)

    return metrics


async def _http_error(request: Request, raised: Exception) -> Response:
    assert isinstance(raised, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}[raised.status_code]
    return early_error(raised.status_code, code, raised.detail, raised.headers)


async def _unexpected_error(request: Request, raised: Exception) -> Response:
    """The server logs what was raised; the client learns nothing of it."""
    return error(500, "internal", "something went wrong here")
