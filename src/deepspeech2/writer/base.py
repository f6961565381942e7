"""The interface of a writer, the writer of nothing and that of many, and what writers share."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, final

import numpy as np

from deepspeech2.errors import ConfigError
from deepspeech2.files import whole_file

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

DOTS_PER_INCH = 120
"""Text of 10 points is 17 pixels high: readable without zooming."""


MODES = ("online", "offline", "disabled")
"""Of trackers, the last sends least."""


class Writer(Protocol):
    """Where a run shows itself. Steps are optimiser steps, which never decrease within a run.

    Names are paths of the kind ``train/loss`` or ``val/WER_(Argmax)``. A class that names this as
    its base need not define what it does not write.
    """

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Write the numbers of one step by name."""
        return

    def table(self, name: str, frame: pd.DataFrame, step: int) -> None:
        """Write a table; a later one of the same name replaces it."""
        return

    def figure(self, name: str, figure: Figure, step: int) -> None:
        """Write a matplotlib figure, which is not changed."""
        return

    def audio(self, name: str, waveform: np.ndarray, sample_rate: int, step: int) -> None:
        """Write a waveform (S,) in [-1, 1] at ``sample_rate`` Hz."""
        return

    def result(self, values: Mapping[str, float], checkpoint: Path) -> None:
        """Write what the finished training has come to, once.

        Args:
            values: ``best/<monitored metric>``, and the metrics of the best weights by name.
            checkpoint: of the best weights.
        """
        return

    def close(self) -> None:
        """Write what is left. Nothing may be written afterwards; closing twice is harmless."""
        return


@final
class NullWriter(Writer):
    """Writes nothing: for processes other than the first, and for ``writer=none``."""

    def __init__(
        self,
        run_name: str | None = None,
        project_name: str | None = None,
        mode: str | None = None,
        *,
        run_dir: str | Path | None = None,
        config: Mapping[str, Any] | None = None,
        resume_step: int | None = None,
    ) -> None:
        """Takes what every writer takes, so that one call builds any of them."""


@final
class MultiWriter:
    """Passes everything to each of its writers, in order; none of them can end the run.

    A writer's failure is logged once for each of its methods. A method that fails ``PATIENCE``
    times in a row is not called again, because each attempt may wait for a server.
    """

    PATIENCE = 5

    def __init__(
        self,
        writers: Sequence[Writer] | Mapping[str, Writer],
        run_name: str | None = None,
        project_name: str | None = None,
        mode: str | None = None,
    ) -> None:
        """
        Args:
            writers: in a config by name, with their options.
            run_name, project_name, mode: of each, see :mod:`deepspeech2.config.writers`.
        """
        self._writers = tuple(writers.values() if isinstance(writers, Mapping) else writers)
        self._failed: set[tuple[Writer, str]] = set()
        self._in_a_row: Counter[tuple[Writer, str]] = Counter()

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        self._each("scalars", values, step)

    def table(self, name: str, frame: pd.DataFrame, step: int) -> None:
        self._each("table", name, frame, step)

    def figure(self, name: str, figure: Figure, step: int) -> None:
        self._each("figure", name, figure, step)

    def audio(self, name: str, waveform: np.ndarray, sample_rate: int, step: int) -> None:
        self._each("audio", name, waveform, sample_rate, step)

    def result(self, values: Mapping[str, float], checkpoint: Path) -> None:
        self._each("result", values, checkpoint)

    def close(self) -> None:
        self._each("close")

    def _each(self, method: str, *arguments: Any) -> None:
        for writer in self._writers:
            if self._in_a_row[writer, method] >= self.PATIENCE:
                continue
            try:
                # a user's own may be older than a method
                if (call := getattr(writer, method, None)) is not None:
                    call(*arguments)
            except Exception as error:  # of the disk, a library or a server
                self._note(writer, method, error)
            else:
                self._in_a_row[writer, method] = 0

    def _note(self, writer: Writer, method: str, error: Exception) -> None:
        name = f"{type(writer).__name__}.{method}"
        if (writer, method) not in self._failed:
            self._failed.add((writer, method))
            log.warning("%s failed, the run goes on: %s", name, error_line(error))
        self._in_a_row[writer, method] += 1
        if self._in_a_row[writer, method] == self.PATIENCE:
            log.warning("%s failed %d times in a row: it is not tried again", name, self.PATIENCE)


@dataclass(frozen=True, slots=True)
class Prediction:
    """The transcript of one utterance by each decoder, with its error rates.

    Attributes:
        id: the utterance.
        reference: None if unknown.
        hypotheses: decoder name to transcript.
        wer, cer: decoder name to error rate of this utterance, as fractions; empty without a
            reference.
    """

    id: str
    reference: str | None
    hypotheses: Mapping[str, str]
    wer: Mapping[str, float]
    cer: Mapping[str, float]


def prediction_table(rows: Sequence[Prediction]) -> pd.DataFrame:
    """Return a row for each prediction: id, reference, then hypothesis, WER and CER by decoder.

    Columns are named ``<decoder>``, ``WER_(<decoder>)`` and ``CER_(<decoder>)``, in the order in
    which decoders first appear; the rates are fractions.
    """
    import pandas as pd

    decoders = list(dict.fromkeys(name for row in rows for name in row.hypotheses))
    columns: dict[str, list[object]] = {
        "id": [row.id for row in rows],
        "reference": [row.reference for row in rows],
    }
    for name in decoders:
        columns[name] = [row.hypotheses.get(name) for row in rows]
    for name in decoders:
        columns[f"WER_({name})"] = [row.wer.get(name) for row in rows]
        columns[f"CER_({name})"] = [row.cer.get(name) for row in rows]
    return pd.DataFrame(columns)


def error_line(error: Exception) -> str:
    """Return the kind of an error and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def check_mode(mode: str) -> None:
    """Raise ConfigError for a mode that does not exist."""
    if mode not in MODES:
        raise ConfigError(f"writer.mode must be one of {', '.join(MODES)}, but is {mode!r}")


@contextmanager
def importing(package: str, command: str | None = None) -> Iterator[None]:
    """Import a tracker within, which only runs that use it need.

    Args:
        command: installs it; None for ``pip install`` with the package's name.

    Raises:
        ConfigError: it cannot be imported.
    """
    try:
        yield
    except Exception as error:  # whatever a package that is damaged raises
        raise ConfigError(
            f"{package} cannot be imported ({error_line(error)}): install it anew with"
            f" {command or f'pip install {package}'}, or set writer=none"
        ) from error


@contextmanager
def starting(tracker: str) -> Iterator[None]:
    """Start a tracker within: a failure is logged, and the run goes on without it."""
    try:
        yield
    except Exception as error:  # of a library or a server
        log.warning("%s does not start, the run goes on without it: %s", tracker, error_line(error))


def flattened(config: Mapping[str, Any], prefix: str = "") -> dict[str, bool | int | float | str]:
    """Return a config's values by their full keys; lists and null as JSON.

    >>> flattened({"trainer": {"seed": 1, "freeze": None}, "plugins": ["a"]})
    {'trainer.seed': 1, 'trainer.freeze': 'null', 'plugins': '["a"]'}
    """
    values: dict[str, bool | int | float | str] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            values |= flattened(value, f"{prefix}{key}.")
        elif isinstance(value, bool | int | float | str):
            values[f"{prefix}{key}"] = value
        else:
            values[f"{prefix}{key}"] = json.dumps(value, default=str)
    return values


def goal(name: str, monitor: str | None) -> str | None:
    """Return ``min`` or ``max`` for a metric that a summary shows the best value of, or None.

    Args:
        name: as logged.
        monitor: as ``trainer.monitor``, which decides for its own metric; error rates and losses
            of validation are the better the smaller.
    """
    best, _, metric = (monitor or "").partition(" ")
    if metric and name.replace("/", "_") == metric:
        return best
    return "min" if re.fullmatch(r"(?!train/).+/(loss|[WC]ER_\(.+\))", name) else None


def read_id(path: Path, resume_step: int | None) -> str | None:
    """Return the id that is kept in ``path`` of a run that is resumed, if there is one."""
    if resume_step is None or not path.exists():
        return None
    return path.read_text(encoding="utf-8").strip() or None


def save_figure(figure: Figure, path: Path, *, dpi: int = DOTS_PER_INCH, **options: Any) -> None:
    """Write a figure to ``path`` as PNG, whole or not at all; ``options`` are those of savefig."""
    with whole_file(path, durable=False) as file:
        figure.savefig(file, format="png", dpi=dpi, **options)


def rasterise(figure: Figure, dpi: int = DOTS_PER_INCH) -> np.ndarray:
    """Return the pixels of a figure, (height, width, 3) uint8, without pyplot's global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    before = figure.dpi
    try:
        figure.set_dpi(dpi)
        canvas: Any = FigureCanvasAgg(figure)  # its drawing methods have no types
        canvas.draw()
        return np.array(canvas.buffer_rgba())[..., :3]
    finally:
        figure.set_dpi(before)
