"""The folder of a run, ``saved/<run_name>/``: its lock, its log and its ``run.json``."""

from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from filelock import FileLock
from tqdm import tqdm

from deepspeech2.console import LogFormatter
from deepspeech2.errors import ConfigError
from deepspeech2.files import lock, plain_name, sweep, write_whole
from deepspeech2.paths import move_aside, resolve

log = logging.getLogger(__name__)

METRICS = "metrics.jsonl"
SUMMARY = "run.json"
ROOT_NAME = "deepspeech2"
IN_FILE = {"in_file": True}
"""The ``extra`` of a message that a progress bar shows as well: only the file needs it."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A folder that one process trains in, where nothing is overwritten unasked.

    Attributes:
        lock: of the process that trains there; None for its other ranks.
    """

    path: Path
    lock: FileLock | None = field(default=None, compare=False, repr=False)

    @classmethod
    def open(cls, path: Path, *, resume: bool, override: bool) -> RunFolder:
        """Make the folder, or open it again to resume.

        Raises:
            ConfigError: it contains a run and neither resuming nor ``override`` is asked for,
                another process trains there, or it cannot be made.
        """
        occupied = _contains_a_run(path)
        if occupied and override and not resume:
            _locked(path).release()
            log.warning("The earlier run was moved to %s", move_aside(path))
        elif occupied and not resume:
            raise ConfigError(
                f"{path} contains a run already: choose another writer.run_name, go on with"
                " trainer.resume_from=auto, or move it aside with trainer.override=true"
            )
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be made ({error.strerror}): choose another trainer.save_dir"
            ) from error
        folder = cls(path, _locked(path))
        sweep(path)
        if not occupied:
            folder.metrics.unlink(missing_ok=True)  # empty: of a start that failed
        return folder

    def release(self) -> None:
        """Let another process train here."""
        if self.lock is not None:
            self.lock.release(force=True)

    @property
    def metrics(self) -> Path:
        return self.path / METRICS


def run_path(save_dir: str, run_name: str) -> Path:
    """Return the folder of a run; raises ConfigError if ``run_name`` is no plain name."""
    return resolve(save_dir) / plain_name(run_name, "writer.run_name")


def _locked(path: Path) -> FileLock:
    """Lock the run in ``path`` for this process.

    Raises:
        ConfigError: another process has locked it.
    """
    return lock(
        path / ".lock",
        f"another process trains in {path}: wait until it ends, or choose another writer.run_name",
    )


def _contains_a_run(path: Path) -> bool:
    """Whether anything was trained there; the log of a start that failed is no run."""
    metrics = path / METRICS
    return any(path.glob("*.pth")) or (metrics.exists() and metrics.stat().st_size > 0)


@dataclass(frozen=True, slots=True)
class Machine:
    """Processor, usable cores, and the GPU by name (``2 x`` before it for two ranks) or None."""

    processor: str
    cpus: int
    gpu: str | None


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a run trains and where: written to ``run.json``, which other programs read.

    Attributes:
        parameters: of front end, network and loss.
        device: cpu, cuda:0 ...
        utterances, hours: of training speech.
        machine: that trains.
    """

    parameters: int
    device: str
    utterances: int
    hours: float
    machine: Machine

    def write(
        self, folder: Path, *, epochs: int, seconds: float, best: float | None, finished: bool
    ) -> None:
        """Write ``run.json``; a full disk is reported, but does not end the run.

        Args:
            epochs: finished.
            seconds: of training, up to the last of them.
            best: value of ``trainer.monitor``.
            finished: whether nothing is left to train or score.
        """
        content = {
            **asdict(self),
            "epochs": epochs,
            "took_hours": seconds / 3600,
            "best": best if best is not None and math.isfinite(best) else None,
            "finished": finished,
        }
        try:
            write_whole(folder / SUMMARY, json.dumps(content, indent=2) + "\n")
        except OSError as error:
            log.error("%s cannot be written (%s): training goes on", folder / SUMMARY, error)


@contextmanager
def logging_to(path: Path | None, rank: int = 0) -> Iterator[None]:
    """Send the project's messages to the terminal and, if given, append them to ``path``.

    The first rank logs everything. The others log only warnings, for example of audio that only
    they tried to read, to a file beside ``path``.
    """
    handlers: list[logging.Handler] = []
    if not rank:
        handlers.append(_TerminalHandler())
        handlers[0].setFormatter(LogFormatter("%(message)s"))
    if path is not None:
        name = path.with_name(f"{path.stem}-rank{rank}{path.suffix}") if rank else path
        file = _FileHandler(name, encoding="utf-8", errors="backslashreplace", delay=bool(rank))
        file.setFormatter(LogFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        handlers.append(file)
    logger = logging.getLogger(ROOT_NAME)
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


class _TerminalHandler(logging.Handler):
    """Prints above a progress bar, without tearing it. Long reports are cut: the file has all."""

    most_lines = 12
    widest = 300

    def filter(self, record: logging.LogRecord) -> bool:
        return not (getattr(record, "in_file", False) and sys.stderr.isatty())

    def emit(self, record: logging.LogRecord) -> None:
        lines = self.format(record).splitlines()
        if len(lines) > self.most_lines:
            lines = [*lines[: self.most_lines], "  ... the rest is in info.log"]
        shown = [
            line if len(line) <= self.widest else f"{line[: self.widest]} ..." for line in lines
        ]
        tqdm.write("\n".join(shown))


class _FileHandler(logging.FileHandler):
    """Appends to a file, which may fail: that is reported once, and the run continues."""

    failed = False

    def handleError(self, record: logging.LogRecord) -> None:
        self._report(sys.exc_info()[1])

    def close(self) -> None:
        try:
            super().close()
        except OSError as error:  # of what was buffered
            self._report(error)

    def _report(self, error: BaseException | None) -> None:
        if not self.failed:
            self.failed = True
            tqdm.write(f"{self.baseFilename} cannot be written ({error}): the run goes on without")
