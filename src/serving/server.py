"""The server's end."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable

import uvicorn.server

from src.processes import REQUESTS

GRACE_SECONDS = 3.0
"""For recordings that are being transcribed when the server is told to end."""


class Server(uvicorn.Server):
    """Takes leave of its clients, whichever signal ends it; nohup has SIGHUP ignored.

    Args:
        stop: ends what is being transcribed; called :data:`GRACE_SECONDS` after the signal.
    """

    def __init__(self, config: uvicorn.Config, stop: Callable[[], object]) -> None:
        super().__init__(config)
        self._stop = stop
        uvicorn.server.HANDLED_SIGNALS = tuple(
            number
            for number in {*uvicorn.server.HANDLED_SIGNALS, *REQUESTS}
            if signal.getsignal(number) is not signal.SIG_IGN
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().call_later(GRACE_SECONDS, self._stop)
        await super().shutdown(sockets)
