"""Standard streams that cannot end the work: a terminal, pipe or disk behind them may go away."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

log = logging.getLogger(__name__)


class Console:
    """Passes everything on to ``stream`` until that fails; from then on it is dropped.

    Attributes:
        fault: what the stream failed with; None as long as it works.
    """

    def __init__(self, stream: Any, name: str) -> None:
        self._stream = stream
        self._name = name
        self.fault: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, or drop, ``text``; returns its length."""
        try:
            self._stream.write(text)
        except OSError as error:
            self._drop(error)
        return len(text)

    def flush(self) -> None:
        """Flush the stream, or notice that it is gone."""
        try:
            self._stream.flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        """Put nothing in the stream's place, so that not even Python's end finds it broken."""
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._stream.fileno())
        os.close(null)
        if self.fault is None:
            self.fault = error
            log.warning("%s is gone (%s): the work goes on without it", self._name, error)


def open_standard_streams() -> None:
    """Give a process that was started without standard streams (as by ``2>&-``) empty ones.

    Otherwise the first file that it opens gets the number of one, and messages go into that file.
    Names that are no UTF-8 are shown with escapes where they would end the program.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", errors="replace"))  # noqa: SIM115 (till the end)
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def enduring(*names: str) -> Iterator[None]:
    """Within, ``sys.stdout`` or ``sys.stderr``, as named, never raise because of what is behind."""
    before = {name: getattr(sys, name) for name in names}
    titles = {"stdout": "standard output", "stderr": "standard error"}
    consoles = {name: Console(stream, titles[name]) for name, stream in before.items()}
    for name, console in consoles.items():
        setattr(sys, name, console)
    try:
        yield
    finally:
        for name, stream in before.items():
            consoles[name].flush()
            setattr(sys, name, stream)
