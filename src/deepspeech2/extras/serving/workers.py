"""Threads that share one model, and a bounded queue before them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from deepspeech2.errors import SpeechError

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
        """The function's result.

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
