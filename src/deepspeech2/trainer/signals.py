"""Stopping a run on request, between two steps."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any

from deepspeech2.processes import REQUESTS


class GracefulStop:
    """Within the context, SIGINT, SIGTERM, SIGUSR1 and SIGHUP set ``signal`` and end nothing.

    Schedulers send SIGUSR1 some time before they take a machine away, and a terminal that is
    closed sends SIGHUP, which has no effect where ``nohup`` ignores it. A second SIGINT ends the
    process at once.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._previous: dict[int, Any] = {}

    @property
    def requested(self) -> bool:
        return self.signal is not None

    def __enter__(self) -> GracefulStop:
        hangup = getattr(signal, "SIGHUP", None)  # not on Windows
        for number in REQUESTS:
            if number != hangup or signal.getsignal(number) is not signal.SIG_IGN:
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
