"""What a request may not exceed, and whom the server answers."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimit:
    """Refuses bodies of more than ``max_bytes``: by their header, or when they get there."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if not announced.isdigit() or int(announced) > self._max_bytes:
            status = 413 if announced.isdigit() else 400
            return await JSONResponse({"detail": self._refusal}, status)(scope, receive, send)
        heard = 0

        async def counted() -> Message:
            nonlocal heard
            message = await receive()
            heard += len(message.get("body", b""))
            if heard > self._max_bytes:
                raise HTTPException(413, self._refusal)
            return message

        return await self._app(scope, counted, send)

    @property
    def _refusal(self) -> str:
        return f"a request may hold {self._max_bytes / 1e6:g} MB at most"


def same_origin(headers: dict[str, str]) -> bool:
    """Whether a request comes from this server's own page, or from no page at all."""
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")
