"""The run's log: on the terminal, without tearing the progress bar, and in ``info.log``."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

ROOT_NAME = "src"


class _BarHandler(logging.Handler):
    """Prints above a progress bar. Long reports are cut here and whole in the file."""

    most_lines = 12
    widest = 300

    def emit(self, record: logging.LogRecord) -> None:
        lines = self.format(record).splitlines()
        if len(lines) > self.most_lines:
            lines = [*lines[: self.most_lines], "  ... the rest stands in info.log"]
        shown = [
            line if len(line) <= self.widest else f"{line[: self.widest]} ..." for line in lines
        ]
        tqdm.write("\n".join(shown))


@contextmanager
def logging_to(path: Path | None) -> Iterator[None]:
    """Send the project's messages to the terminal and, if given, append them to ``path``."""
    logger = logging.getLogger(ROOT_NAME)
    handlers: list[logging.Handler] = [_BarHandler()]
    handlers[0].setFormatter(logging.Formatter("%(message)s"))
    if path is not None:
        file = logging.FileHandler(path, encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        handlers.append(file)
    level, propagate = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
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
