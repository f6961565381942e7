"""The interface of a writer, the writer of nothing and that of many, and what writers share."""

from __future__ import annotations

import logging
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


class Writer(Protocol):
    """Where a run shows itself. Steps are optimiser steps, which never decrease within a run.

    Names are paths of the kind ``train/loss`` or ``val/WER_(Argmax)``.
    """

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Write the numbers of one step by name."""

    def table(self, name: str, frame: pd.DataFrame, step: int) -> None:
        """Write a table; a later one of the same name replaces it."""

    def figure(self, name: str, figure: Figure, step: int) -> None:
        """Write a matplotlib figure, which is not changed."""

    def audio(self, name: str, waveform: np.ndarray, sample_rate: int, step: int) -> None:
        """Write a waveform (S,) in [-1, 1] at ``sample_rate`` Hz."""

    def close(self) -> None:
        """Write what is left. Nothing may be written afterwards; closing twice is harmless."""


@final
class NullWriter:
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

    def scalars(self, values: Mapping[str, float], step: int) -> None: ...

    def table(self, name: str, frame: pd.DataFrame, step: int) -> None: ...

    def figure(self, name: str, figure: Figure, step: int) -> None: ...

    def audio(self, name: str, waveform: np.ndarray, sample_rate: int, step: int) -> None: ...

    def close(self) -> None: ...


@final
class MultiWriter:
    """Passes everything to each of ``writers``, in order; none of them can end the run.

    A writer's failure is logged once for each of its methods.
    """

    def __init__(self, writers: Sequence[Writer]) -> None:
        self._writers = tuple(writers)
        self._failed: set[tuple[Writer, str]] = set()

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        self._each("scalars", values, step)

    def table(self, name: str, frame: pd.DataFrame, step: int) -> None:
        self._each("table", name, frame, step)

    def figure(self, name: str, figure: Figure, step: int) -> None:
        self._each("figure", name, figure, step)

    def audio(self, name: str, waveform: np.ndarray, sample_rate: int, step: int) -> None:
        self._each("audio", name, waveform, sample_rate, step)

    def close(self) -> None:
        self._each("close")

    def _each(self, method: str, *arguments: Any) -> None:
        for writer in self._writers:
            try:
                getattr(writer, method)(*arguments)
            except Exception as error:  # of the disk, a library or a server
                if (writer, method) not in self._failed:
                    self._failed.add((writer, method))
                    kind = type(writer).__name__
                    log.warning("%s.%s failed, the run goes on: %s", kind, method, error)


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


@contextmanager
def importing(package: str) -> Iterator[None]:
    """Import a tracker within, which only runs that use it need.

    Raises:
        ConfigError: it cannot be imported.
    """
    try:
        yield
    except Exception as error:  # whatever a package that is damaged raises
        raise ConfigError(
            f"{package} cannot be imported ({error_line(error)}): install it anew with pip install"
            f" {package}, or set writer=none"
        ) from error


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
