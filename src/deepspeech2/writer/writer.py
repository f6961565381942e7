"""The interface of a writer, the writer that writes nothing, and the one that writes to many."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, final

from deepspeech2.errors import ConfigError

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure


def one_line(error: Exception) -> str:
    """The kind of an error, and the first line of what it says."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


@contextmanager
def importing(package: str) -> Iterator[None]:
    """Within, a tracker is imported, which only runs that show themselves there need.

    Raises:
        ConfigError: it cannot be.
    """
    try:
        yield
    except Exception as error:  # whatever a package that is damaged raises
        raise ConfigError(
            f"{package} cannot be imported ({one_line(error)}): install it anew with pip install"
            f" {package}, or set writer=none"
        ) from error


class Writer(Protocol):
    """Where a run shows itself. Steps are optimiser steps and never fall within a run.

    Names are paths of the kind ``train/loss`` or ``val/WER_(Argmax)``.
    """

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Numbers of one step, all under the names that they are to be found by."""

    def table(self, name: str, frame: pd.DataFrame, step: int) -> None:
        """A table; a later one of the same name takes its place."""

    def figure(self, name: str, figure: Figure, step: int) -> None:
        """A matplotlib figure; it stays the caller's."""

    def audio(self, name: str, waveform: np.ndarray, sample_rate: int, step: int) -> None:
        """A waveform (S,) in [-1, 1] at ``sample_rate`` Hz."""

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

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Nothing."""

    def table(self, name: str, frame: pd.DataFrame, step: int) -> None:
        """Nothing."""

    def figure(self, name: str, figure: Figure, step: int) -> None:
        """Nothing."""

    def audio(self, name: str, waveform: np.ndarray, sample_rate: int, step: int) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


@final
class MultiWriter:
    """Hands everything to each of ``writers``, in order; none of them can end the run.

    What a writer fails with is logged once for each of its methods.
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
            except Exception as error:  # of the disk, a library or a server: they only look on
                if (writer, method) not in self._failed:
                    self._failed.add((writer, method))
                    kind = type(writer).__name__
                    log.warning("%s.%s failed, the run goes on: %s", kind, method, error)
