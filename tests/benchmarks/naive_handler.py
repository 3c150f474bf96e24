"""What one writes first: verify the webhook, call Vercel while the sender waits, answer. Nothing is stored."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


def application(vercel: str, key: bytes, token: str) -> Starlette:
    client = httpx.AsyncClient(base_url=vercel, headers={"authorization": f"Bearer {token}"})

    async def hook(request: Request) -> JSONResponse:
        body = await request.body()
        signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + body
        mac = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        if not hmac.compare_digest(mac, request.headers["webhook-signature"]):
            return JSONResponse({"error": "signature"}, 401)
        answer = await client.post(
            "/v1/edge-cache/dangerously-delete-by-src-images",
            params={"projectIdOrName": "my-shop"},
            json={"srcImages": [json.loads(body)["data"]["url"]], "revalidationDeadlineSeconds": 60},
        )
        return JSONResponse({"status": "purged"}, 200 if answer.is_success else 502)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with client:
            yield

    return Starlette(routes=[Route("/hooks/hook", hook, methods=["POST"])], lifespan=lifespan)


if __name__ == "__main__":
    port, vercel, key, token = sys.argv[1:]
    app = application(vercel, base64.b64decode(key), token)
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="error", access_log=False, ws="none")
