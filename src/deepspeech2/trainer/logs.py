"""The run's log: on the terminal, without tearing the progress bar, and in ``info.log``."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from deepspeech2.console import LogFormatter

ROOT_NAME = "deepspeech2"
IN_FILE = {"in_file": True}
"""Given as ``extra`` of a message: where a progress bar shows the same, only the file has it."""


class _BarHandler(logging.Handler):
    """Prints above a progress bar. Long reports are cut here and whole in the file."""

    most_lines = 12
    widest = 300

    def filter(self, record: logging.LogRecord) -> bool:
        return not (getattr(record, "in_file", False) and sys.stderr.isatty())

    def emit(self, record: logging.LogRecord) -> None:
        lines = self.format(record).splitlines()
        if len(lines) > self.most_lines:
            lines = [*lines[: self.most_lines], "  ... the rest stands in info.log"]
        shown = [
            line if len(line) <= self.widest else f"{line[: self.widest]} ..." for line in lines
        ]
        tqdm.write("\n".join(shown))


class _FileHandler(logging.FileHandler):
    """Appends to a file, which may fail: then that is said once and the run goes on."""

    failed = False

    def handleError(self, record: logging.LogRecord) -> None:
        self._report(sys.exc_info()[1])

    def close(self) -> None:
        try:
            super().close()
        except OSError as error:  # what it could not write before
            self._report(error)

    def _report(self, error: BaseException | None) -> None:
        if not self.failed:
            self.failed = True
            tqdm.write(f"{self.baseFilename} cannot be written ({error}): the run goes on without")


@contextmanager
def logging_to(path: Path | None, rank: int = 0) -> Iterator[None]:
    """Send the project's messages to the terminal and, if given, append them to ``path``.

    Ranks other than the first say what the first says, so they are silent; their warnings, for
    example of audio that only they tried to read, go to a file beside ``path``.
    """
    logger = logging.getLogger(ROOT_NAME)
    handlers: list[logging.Handler] = [] if rank else [_BarHandler()]
    for handler in handlers:
        handler.setFormatter(LogFormatter("%(message)s"))
    if path is not None:
        place = path.with_name(f"{path.stem}-rank{rank}{path.suffix}") if rank else path
        file = _FileHandler(place, encoding="utf-8", errors="backslashreplace", delay=bool(rank))
        file.setFormatter(LogFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        handlers.append(file)
    level, propagate = logger.level, logger.propagate
    logger.setLevel(logging.WARNING if rank else logging.INFO)
    logger.propagate = False
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(level)
        logger.propagate = propagate
