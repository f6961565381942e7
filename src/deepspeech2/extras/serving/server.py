"""How many connections the server keeps, how long it waits for clients, and how it ends."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, cast

import h11
import uvicorn.server
from uvicorn.protocols.http.h11_impl import H11Protocol

from deepspeech2.extras.serving.guard import SLOWEST
from deepspeech2.processes import REQUESTS
from deepspeech2.settings import ServeSettings

GRACE_SECONDS = 3.0
"""For recordings that are being transcribed when a signal ends the server."""
ACCEPTED = 128
"""Connections that are accepted before anything else is done."""

_OWN_FILES = 64  # that the server itself has open
_DRAIN_SECONDS = 30.0  # in which a client that was refused may send the rest of its body


class Connection(H11Protocol):
    """A client's connection; beyond ``room`` of them, the one that is idle for longest ends."""

    def __init__(self, *args: Any, room: int, **options: Any) -> None:
        super().__init__(*args, **options)
        self._room = room
        self._since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since = self.loop.time()
        if len(self.connections) > self._room:
            others = [each for each in self.connections if isinstance(each, Connection)]
            longest = min(others, key=Connection._priority)
            self.connections.discard(longest)
            longest.transport.abort()

    def _priority(self) -> tuple[int, float]:
        """The lowest ends first: no request, then sending one, then waiting for an answer."""
        if self.idle:
            return 0, self._since
        return 1 if self.cycle.more_body else 2, self._since

    @property
    def idle(self) -> bool:
        """Whether it has no request that is yet to be answered."""
        return self.cycle is None or self.cycle.response_complete

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP as all other problems are answered."""
        headers = [("content-type", "application/json"), ("connection", "close")]
        content = b'{"detail":"the request is no HTTP/1.1, or its header is too long"}'
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=content),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def _most_connections() -> int:
    """As many as the limit of open files allows, each with an upload in a temporary file."""
    try:
        import resource
    except ImportError:  # not on Windows
        return 1 << 20
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if most == resource.RLIM_INFINITY:
        return 1 << 20
    return max(1, (most - ACCEPTED - _OWN_FILES) // 2)


class _Turn(NamedTuple):
    """A time in which it is the client's turn to send or to read."""

    state: object  # of the connection; when it changes, the time begins anew
    since: float
    seconds: float


class Server(uvicorn.Server):
    """Ends its connections in order, whichever signal ends it; nohup has SIGHUP ignored.

    Args:
        stop: ends what is being transcribed; called :data:`GRACE_SECONDS` after the signal.
        settings: how many connections, and how many seconds to wait for a request's header, and
            for an answer to be read beyond the time that it takes at :data:`SLOWEST`.
    """

    def __init__(
        self, config: uvicorn.Config, stop: Callable[[], object], settings: ServeSettings
    ) -> None:
        room = min(settings.connections, _most_connections())
        config.http = cast(type[asyncio.Protocol], partial(Connection, room=room))
        super().__init__(config)
        self._stop = stop
        self._wait = settings.wait_seconds
        self._turns: dict[Any, _Turn] = {}
        uvicorn.server.HANDLED_SIGNALS = tuple(
            number
            for number in {*uvicorn.server.HANDLED_SIGNALS, *REQUESTS}
            if signal.getsignal(number) is not signal.SIG_IGN
        )

    async def on_tick(self, counter: int) -> bool:
        self._drop_idle(asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    def _drop_idle(self, now: float) -> None:
        """End connections whose clients neither send a request nor read for too long."""
        turns = {}
        for each in list(self.server_state.connections):
            unsent = each.transport.get_write_buffer_size()
            seconds = self._wait + unsent / SLOWEST
            state: object = unsent > 0
            waiting = each.transport.is_closing()
            if isinstance(each, Connection):
                state = (each.cycle, each.idle, unsent > 0)
                waiting = waiting or each.idle or unsent > 0
                if each.cycle and each.idle and each.cycle.more_body:
                    seconds = max(seconds, _DRAIN_SECONDS)
            turn = self._turns.get(each)
            if turn is None or turn.state != state or not waiting:
                turn = _Turn(state, now, seconds)
            turns[each] = turn
            if now - turn.since > turn.seconds:
                each.transport.abort()
        self._turns = turns

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().call_later(GRACE_SECONDS, self._stop)
        await super().shutdown(sockets)
