"""Metrics as ``metrics.csv`` in the run's folder, for a spreadsheet or pandas."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from deepspeech2.files import write_whole
from deepspeech2.writer.base import Writer

CSV_FILE = "metrics.csv"


@final
class CsvWriter(Writer):
    """Writes a row for each step with numbers, a column for each name; what is absent is empty.

    Tables, figures and audio are in files already, see :class:`deepspeech2.writer.JsonlWriter`.
    """

    def __init__(
        self,
        run_name: str | None = None,
        project_name: str | None = None,
        mode: str | None = None,
        *,
        run_dir: str | Path,
        config: Mapping[str, Any] | None = None,
        resume_step: int | None = None,
    ) -> None:
        """
        Args:
            run_name, project_name, mode, config: taken, so that a config may change its writer
                alone.
            run_dir: the run's folder.
            resume_step: the last step that the resumed run has done; rows of later ones are
                dropped. None for a new run.
        """
        self._path = Path(run_dir) / CSV_FILE
        self._rows: dict[int, dict[str, str]] = {}
        if resume_step is not None and self._path.exists():
            with self._path.open(encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file):
                    step = row.pop("step", "") or ""
                    if step.isdecimal() and int(step) <= resume_step:
                        self._rows[int(step)] = {key: text for key, text in row.items() if text}
        self._names = list(dict.fromkeys(name for row in self._rows.values() for name in row))
        self._rewrite()

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        shown = {key: repr(float(v)) if math.isfinite(v) else "" for key, v in values.items()}
        new = step not in self._rows
        added = [name for name in shown if name not in self._names]
        self._names += added
        self._rows.setdefault(step, {}).update(shown)
        if added or not new:
            self._rewrite()
        else:
            with self._path.open("a", encoding="utf-8", newline="") as file:
                file.write(self._line(step))

    def close(self) -> None:
        """Everything is written already."""

    def _rewrite(self) -> None:
        """Write the file anew: with a column that no step before has had, or another row."""
        header = self._cells(["step", *self._names])
        content = header + "".join(map(self._line, self._rows))
        write_whole(self._path, content.encode(), durable=False)

    def _line(self, step: int) -> str:
        return self._cells([step, *(self._rows[step].get(name, "") for name in self._names)])

    @staticmethod
    def _cells(cells: list[Any]) -> str:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(cells)
        return text.getvalue()
