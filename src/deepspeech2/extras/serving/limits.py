"""What a request may not exceed, and how long a client is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SLOWEST = 10_000
"""Bytes a second that a client must send or read at least."""

Result = TypeVar("Result")


class Patience:
    """Waits for a client that keeps on sending: the server's own time does not count.

    Args:
        seconds: of waiting in which ``enough`` must come; then as many begin anew.
    """

    def __init__(self, seconds: float, enough: float) -> None:
        self._seconds, self._enough = seconds, enough
        self._left, self._got = seconds, 0.0

    async def wait(self, receive: Callable[[], Awaitable[Result]]) -> Result:
        """What is received.

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
        seconds: in which a body must come, or so many of it that it comes at :data:`SLOWEST`.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, seconds: float) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if not announced.isdigit():
            problem = {"detail": "the header Content-Length must be a number of bytes"}
            return await JSONResponse(problem, 400)(scope, receive, send)
        if len(announced) > 18 or int(announced) > self._max_bytes:
            return await JSONResponse({"detail": self._refusal}, 413)(scope, receive, send)
        patience = Patience(self._seconds, self._seconds * SLOWEST)
        heard, more = 0, True

        async def counted() -> Message:
            nonlocal heard, more
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
            heard, more = heard + got, message.get("more_body", False)
            patience.got(got)
            if heard > self._max_bytes:
                raise HTTPException(413, self._refusal)
            return message

        return await self._app(scope, counted, send)

    @property
    def _refusal(self) -> str:
        return f"a request may hold {self._max_bytes / 1e6:g} MB at most"
