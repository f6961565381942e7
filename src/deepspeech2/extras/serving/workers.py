"""Threads that share one model, with a bounded queue, and what the server counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from deepspeech2.errors import SpeechError

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of what Prometheus reads."""

_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)  # s

Result = TypeVar("Result")


class BusyError(SpeechError):
    """All workers are taken and the queue is full."""


class Workers:
    """Runs functions in ``workers`` threads; ``queue`` more may wait, and no more than that.

    To be used from one event loop.
    """

    def __init__(self, workers: int, queue: int) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="recogniser")
        self._room = workers + queue
        self.taken = 0

    async def run(
        self, function: Callable[..., Result], *args: Any, patient: bool = False
    ) -> Result:
        """Return the function's result.

        Args:
            patient: wait however many wait already, for callers that are bounded otherwise.

        Raises:
            BusyError: there is no room; the function was not called.
        """
        if self.taken >= self._room and not patient:
            raise BusyError(f"{self.taken} recordings are waiting already: try again in a moment")
        loop = asyncio.get_running_loop()
        self.taken += 1
        future = self._pool.submit(function, *args)
        # Not when the caller goes away: the thread is busy until the function returns.
        future.add_done_callback(lambda done: self._leave(loop, done))
        return await asyncio.wrap_future(future)

    def _leave(self, loop: asyncio.AbstractEventLoop, done: Future[Any]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._count_down)

    def _count_down(self) -> None:
        self.taken -= 1

    def close(self) -> None:
        """Drop what waits, and wait for what runs."""
        self._pool.shutdown(wait=True, cancel_futures=True)


class ServerMetrics:
    """Counters of one server, in a registry of their own.

    Args:
        taken: how many recordings are being recognised or wait for it.
    """

    def __init__(self, taken: Callable[[], float]) -> None:
        self._registry = CollectorRegistry()
        own: dict[str, Any] = {"namespace": "deepspeech2", "registry": self._registry}
        labels = ("kind", "outcome")
        self.requests = Counter("requests", "Recordings asked for", labels, **own)
        self.audio = Counter("audio_seconds", "Seconds of sound recognised", **own)
        description = "Seconds that a recording took, without its upload and its wait"
        self.took = Histogram("recognition_seconds", description, buckets=_BUCKETS, **own)
        self.streams = Gauge("streams", "Recordings being made", **own)
        Gauge("recordings_taken", "Recognised or waiting", **own).set_function(taken)

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self._registry)
