"""The writer that is always on: plain files in the run's folder."""

from __future__ import annotations

import io
import json
import logging
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, final

from deepspeech2.escaping import sheet_cell
from deepspeech2.files import safe_name, write_whole
from deepspeech2.writer.base import DOTS_PER_INCH, Writer

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

METRICS_FILE = "metrics.jsonl"
log = logging.getLogger(__name__)


def read_metrics(path: str | Path, *, last_step: int | None = None) -> list[dict[str, float]]:
    """Return the lines of a metrics file, in order, without those that are cut off.

    Args:
        path: written by :class:`JsonlWriter`.
        last_step: lines of later steps are left out.

    Returns:
        One mapping for each line, with ``step``, ``time`` (Unix time, seconds) and the values.
        A value that was not finite is NaN.
    """
    rows: list[dict[str, float]] = []
    for line in Path(path).read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue  # the process was killed while it wrote this line
        if not isinstance(row, dict) or not isinstance(row.get("step"), int):
            continue
        if last_step is None or row["step"] <= last_step:
            rows.append({key: math.nan if value is None else value for key, value in row.items()})
    return rows


def _to_line(row: Mapping[str, float]) -> str:
    """JSON knows no NaN: what is not finite becomes null."""
    finite = {key: value if math.isfinite(value) else None for key, value in row.items()}
    return json.dumps(finite, ensure_ascii=False, allow_nan=False) + "\n"


@final
class JsonlWriter(Writer):
    """Numbers to ``metrics.jsonl``, one line a call; tables, figures and audio as files.

    ``tables/<name>.csv``, ``plots/<name>.png`` and ``audio/<name>.wav`` are the latest of their
    name. Where the disk is full, that is logged once and the run goes on without.
    """

    def __init__(
        self,
        run_dir: str | Path,
        resume_step: int | None = None,
        *,
        run_name: str | None = None,
    ) -> None:
        """
        Args:
            run_dir: the run's folder; made if it is missing.
            resume_step: the last step that the resumed run has done. Lines of later steps are
                dropped, because the run will write them once more. None for a new run.
            run_name: not used; every writer accepts it.

        Raises:
            FileExistsError: ``resume_step`` is None and there are metrics already.
        """
        self._dir = Path(run_dir)
        self._warned = False
        self._dir.mkdir(parents=True, exist_ok=True)
        path = self._dir / METRICS_FILE
        if resume_step is None:
            self._file = path.open("x", encoding="utf-8", newline="\n")
            return
        if path.exists():
            rows = read_metrics(path, last_step=resume_step)
            write_whole(path, "".join(map(_to_line, rows)).encode())
        self._file = path.open("a", encoding="utf-8", newline="\n")

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        """Log the first failure to write, and go on: a run is worth more than its curves."""
        try:
            yield
        except OSError as error:
            if not self._warned:
                log.warning(
                    "%s: metrics and pictures cannot be written (%s); the run goes on",
                    self._dir,
                    error.strerror or error,
                )
            self._warned = True

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        row = {key: float(value) for key, value in values.items()}
        with self._going_on():
            self._file.write(_to_line({"step": step, "time": round(time.time(), 3), **row}))
            self._file.flush()

    def table(self, name: str, frame: pd.DataFrame, step: int) -> None:
        # The mark at the start lets spreadsheets recognise UTF-8.
        shown = frame.map(lambda cell: sheet_cell(cell) if isinstance(cell, str) else cell)
        content = shown.to_csv(index=False, lineterminator="\n").encode("utf-8-sig")
        self._replace("tables", name, ".csv", content)

    def figure(self, name: str, figure: Figure, step: int) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        FigureCanvasAgg(figure)
        image = io.BytesIO()
        figure.savefig(image, format="png", dpi=DOTS_PER_INCH)
        self._replace("plots", name, ".png", image.getvalue())

    def audio(self, name: str, waveform: np.ndarray, sample_rate: int, step: int) -> None:
        import soundfile

        wav = io.BytesIO()
        soundfile.write(wav, waveform, sample_rate, format="WAV", subtype="PCM_16")
        self._replace("audio", name, ".wav", wav.getvalue())

    def _replace(self, kind: str, name: str, suffix: str, content: bytes) -> None:
        file = f"{safe_name(name.replace('/', '_'))}{suffix}"
        with self._going_on():
            write_whole(self._dir / kind / file, content, durable=False)

    def close(self) -> None:
        with self._going_on():
            self._file.close()
