"""Standard streams that cannot end the work: a terminal, pipe or disk behind them may go away."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tqdm import tqdm

from deepspeech2.escaping import one_line, visible, without_secrets

log = logging.getLogger(__name__)

_OF_A_BAR = re.compile("\r|(\x1b\\[A)+")  # what tqdm begins with, to draw in place
_TITLES = {"stdout": "standard output", "stderr": "standard error"}


class LogFormatter(logging.Formatter):
    """Shows control characters of names and foreign messages as escapes, and no password of a URL.

    Only a message itself may have several lines, its arguments may not: none of them can look
    like the next message.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line, or lines."""
        if isinstance(record.args, tuple):
            record = logging.makeLogRecord(record.__dict__)
            record.args = tuple(map(_on_its_line, record.args or ()))
        return without_secrets(visible(super().format(record)))


def _on_its_line(argument: object) -> object:
    return one_line(text) if "\n" in (text := str(argument)) else argument


class Console:
    """Passes everything on to ``stream``, control characters as visible escapes.

    If it ``endures``, what the stream does not take any more is dropped.

    Attributes:
        fault: what the stream failed with; None as long as it works.
    """

    def __init__(self, stream: Any, name: str, *, endures: bool) -> None:
        self._endures = endures
        self._stream = stream
        self._name = name
        self.fault: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, or drop, ``text``; returns its length."""
        begin = _OF_A_BAR.match(text)
        drawn = begin[0] if begin and self._name == _TITLES["stderr"] else ""
        try:
            self._stream.write(drawn + visible(text[len(drawn) :]))
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
        """Raise, or put nothing in the stream's place: Python's end must not find it broken."""
        if not self._endures:
            raise error
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._stream.fileno())
        os.close(null)
        if self.fault is None:
            self.fault = error
            log.warning("%s is gone (%s): the work goes on without it", self._name, error)


def announce(logger: logging.Logger, message: str, *values: object) -> None:
    """Log what people should read while they wait, on a line of its own beside a progress bar.

    As a warning, which is shown where nothing is set up for logging, too.
    """
    with tqdm.external_write_mode(file=sys.stderr):
        logger.warning(message, *values)


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
            with suppress(OSError):  # of a file that was put in another's place behind the stream
                stream.reconfigure(errors="backslashreplace")


@contextmanager
def enduring(*names: str) -> Iterator[None]:
    """Within, the standard streams that are named never raise because of what is behind them.

    Both show control characters as escapes.
    """
    before = {name: getattr(sys, name) for name in _TITLES}
    consoles = {
        name: Console(stream, _TITLES[name], endures=name in names)
        for name, stream in before.items()
    }
    for name, console in consoles.items():
        setattr(sys, name, console)
    last = logging.lastResort  # of a command without a log
    if last is not None:
        last.setFormatter(LogFormatter())
    try:
        yield
    finally:
        if last is not None:
            last.setFormatter(None)
        for name, stream in before.items():
            if name in names:
                consoles[name].flush()
            setattr(sys, name, stream)
