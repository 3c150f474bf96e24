"""A CMS's API: answers by path, each script in its order, the last of it for good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Script = Sequence[Response | int | str]


@dataclass(slots=True)
class FakeCms:
    """A script's entry is a URL (200, and the asset has it), a status, or a whole response."""

    scripts: dict[str, list[Response | int | str]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def script(self, path: str, *answers: Response | int | str) -> None:
        self.scripts[path] = list(answers)

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{path:path}", self._answer)])

    async def _answer(self, request: Request) -> Response:
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        self.asked.append((path, dict(request.headers)))
        answers = self.scripts.get(path, [404])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, str):
            return JSONResponse({"asset": {"filename": answer}, "alt": "a picture"})
        return JSONResponse({"error": "as scripted"}, answer) if isinstance(answer, int) else answer
