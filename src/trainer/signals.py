"""Ending a run on request, between two steps."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any

# Windows knows no SIGUSR1
REQUESTS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)
]


class GracefulStop:
    """Within the context, SIGINT, SIGTERM and SIGUSR1 set ``signal`` instead of ending the process.

    Schedulers send SIGUSR1 some time before they take a machine away. A second SIGINT ends the
    process at once.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._previous: dict[int, Any] = {}

    @property
    def requested(self) -> bool:
        return self.signal is not None

    def __enter__(self) -> GracefulStop:
        for number in REQUESTS:
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number
