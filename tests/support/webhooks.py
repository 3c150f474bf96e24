"""Standard Webhooks as a sender makes them, for tests that need many."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

from support.process import SECRET_BASE64

_KEY = base64.b64decode(SECRET_BASE64)


def signed(message_id: str, body: bytes, at: float | None = None) -> dict[str, str]:
    """The three headers over this body, signed with the key the tests configure."""
    timestamp = str(int(time.time() if at is None else at))
    mac = hmac.new(_KEY, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": "v1," + base64.b64encode(mac.digest()).decode(),
    }


def replaced(asset: str, url: str, event: str = "asset.replaced", **more: Any) -> bytes:
    """The body of an event about one image."""
    return json.dumps({"type": event, "data": {"id": asset, "url": url, **more}}).encode()
