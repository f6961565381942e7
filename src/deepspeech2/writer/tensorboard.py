"""TensorBoard: ``tensorboard --logdir saved`` shows the runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from deepspeech2.tables import markdown_table
from deepspeech2.writer.base import Writer, flattened, importing, rasterise

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure


@final
class TensorboardWriter(Writer):
    """Writes event files to ``<run_dir>/tensorboard``."""

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
            run_name, project_name, mode: taken, so that a config may change its writer alone;
                TensorBoard shows the folder's name and is always offline.
            run_dir: the run's folder.
            config: plain containers, shown as text, and as hyperparameters with the results.
            resume_step: the last step that the resumed run has done; later ones are hidden.

        Raises:
            ConfigError: tensorboard cannot be imported.
        """
        with importing("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

        purge_step = None if resume_step is None else resume_step + 1
        self._writer: Any = SummaryWriter(str(Path(run_dir) / "tensorboard"), purge_step=purge_step)
        self._config = config or {}
        self._last_step = resume_step or 0
        self._written: set[str] = set()
        if config is not None:
            text = json.dumps(config, indent=2, default=str)
            self._writer.add_text("config", f"```\n{text}\n```", 0)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._last_step = step
        self._written |= values.keys()
        self._writer.flush()

    def table(self, name: str, frame: pd.DataFrame, step: int) -> None:
        self._writer.add_text(name, _markdown(frame), step)

    def figure(self, name: str, figure: Figure, step: int) -> None:
        self._writer.add_image(name, rasterise(figure), step, dataformats="HWC")

    def audio(self, name: str, waveform: np.ndarray, sample_rate: int, step: int) -> None:
        self._writer.add_audio(name, waveform[None].clip(-1, 1), step, sample_rate=sample_rate)

    def result(self, values: Mapping[str, float], checkpoint: Path) -> None:
        from torch.utils.tensorboard.summary import hparams

        # not add_hparams, which writes them as a run of its own
        shown: Any = hparams  # it has no types
        for summary in shown(flattened(self._config), dict(values)):
            self._writer.file_writer.add_summary(summary)
        step = self._last_step
        for name in values.keys() - self._written:
            self._writer.add_scalar(name, values[name], step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def _markdown(frame: pd.DataFrame) -> str:
    """The table as Markdown, which is all that TensorBoard's text panel knows."""
    rows = [[_cell(value) for value in row] for row in frame.itertuples(index=False)]
    return markdown_table([str(name) for name in frame.columns], rows)


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
