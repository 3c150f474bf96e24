"""The measure: a Starlette endpoint that reads the body and answers."""

from __future__ import annotations

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


async def _hook(request: Request) -> JSONResponse:
    await request.body()
    return JSONResponse({"receipt": "rcp_0", "status": "accepted"})


if __name__ == "__main__":
    uvicorn.run(
        Starlette(routes=[Route("/hooks/hook", _hook, methods=["POST"])]),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="error",
        access_log=False,
        lifespan="off",
        ws="none",
    )
