"""Middleware: which requests are answered, how large they may be, and how slow a client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from fnmatch import fnmatchcase
from typing import TypeVar
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SLOWEST = 10_000
"""Bytes a second that a client must send or read at least."""

_POLICY = "default-src 'self'; connect-src 'self' ws: wss:; media-src 'self' blob:; img-src 'self'"
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_DIGITS = 18  # of a Content-Length; more are not even read as a number

Result = TypeVar("Result")


class Guard:
    """Refuses other names than ``hosts`` and what pages of others send; answers HEAD as GET."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self._app = app
        self._hosts = [host.lower().strip("[]") for host in hosts]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and not self._is_host(Headers(scope=scope).get("host", "")):
            return await send({"type": "websocket.close"})
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        head = scope["method"] == "HEAD"

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            elif head:
                message = {**message, "body": b""}
            await send(message)

        app = self._refusal(scope) or self._app
        return await app({**scope, "method": "GET"} if head else scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        headers = Headers(scope=scope)
        if not self._is_host(headers.get("host", "")):
            problem = "this server does not answer to that name: start it with --name to add one"
            return JSONResponse({"detail": problem}, 400)
        if scope["method"] == "POST" and not same_origin(headers):
            return JSONResponse({"detail": "this page may not ask this server"}, 403)
        return None

    def _is_host(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return any(fnmatchcase(name, pattern) for pattern in self._hosts)


def same_origin(headers: Headers) -> bool:
    """Whether a request comes from this server's own page, or from no page at all."""
    origin = headers.get("origin")
    try:
        return origin is None or urlsplit(origin).netloc == headers.get("host")
    except ValueError:
        return False


class Patience:
    """Waits for a client that keeps on sending: the server's own time does not count.

    Args:
        seconds: of waiting in which ``enough`` must come; then as many begin anew.
    """

    def __init__(self, seconds: float, enough: float) -> None:
        self._seconds, self._enough = seconds, enough
        self._left, self._got = seconds, 0.0

    async def wait(self, receive: Callable[[], Awaitable[Result]]) -> Result:
        """Return what is received.

        Raises:
            TimeoutError: the seconds are used up.
        """
        clock = asyncio.get_running_loop().time
        start = clock()
        received = await asyncio.wait_for(receive(), max(0.0, self._left))
        self._left -= clock() - start
        return received

    def got(self, amount: float) -> None:
        """Count what was received, in the unit of ``enough``."""
        self._got += amount
        if self._got >= self._enough:
            self._left, self._got = self._seconds, 0.0


class BodyLimit:
    """Refuses bodies of more than ``max_bytes``: by their header, or when they get there.

    Args:
        seconds: in which a body must come, or enough of it for the rate :data:`SLOWEST`; then as
            many begin anew.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, seconds: float) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._too_large = f"a request may contain {max_bytes / 1e6:g} MB at most"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if not announced.isdigit():
            problem = {"detail": "the header Content-Length must be a number of bytes"}
            return await JSONResponse(problem, 400)(scope, receive, send)
        if len(announced) > _DIGITS or int(announced) > self._max_bytes:
            return await JSONResponse({"detail": self._too_large}, 413)(scope, receive, send)
        patience = Patience(self._seconds, self._seconds * SLOWEST)
        total, more = 0, True

        async def counted() -> Message:
            nonlocal total, more
            if not more:
                return await receive()
            try:
                message = await patience.wait(receive)
            except TimeoutError as error:
                problem = (
                    f"the request came too slowly: send {SLOWEST // 1000} kB a second at least"
                )
                raise HTTPException(408, problem, {"Connection": "close"}) from error
            got = len(message.get("body", b""))
            total, more = total + got, message.get("more_body", False)
            patience.got(got)
            if total > self._max_bytes:
                raise HTTPException(413, self._too_large)
            return message

        return await self._app(scope, counted, send)
