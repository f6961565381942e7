"""Comet, online where there is a key, otherwise offline.

The only module that imports comet_ml, and only when a writer is built.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from deepspeech2.files import write_whole
from deepspeech2.paths import install
from deepspeech2.writer.base import Writer, check_mode, flattened, importing, read_id, starting

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

_ID_FILE = "comet_experiment_key.txt"
log = logging.getLogger(__name__)


@final
class CometWriter(Writer):
    """An experiment of Comet. What Comet gathers by itself (output, code, git) is switched off."""

    def __init__(
        self,
        project_name: str,
        run_name: str | None = None,
        mode: str = "online",
        workspace: str | None = None,
        run_id: str | None = None,
        group: str | None = None,
        tags: Sequence[str] | None = None,
        notes: str | None = None,
        checkpoints: bool = False,
        *,
        run_dir: str | Path,
        config: Mapping[str, Any] | None = None,
        resume_step: int | None = None,
    ) -> None:
        """
        Args:
            project_name: the project that the experiment belongs to.
            run_name: the name that is shown.
            mode: online, offline (an archive in ``<run_dir>/comet``, for ``comet upload``) or
                disabled. Without a key online becomes offline.
            workspace: None for the default of the key.
            run_id: key of the experiment to continue: 32 to 50 letters and digits. By default a
                resumed run finds its own in its folder.
            group, notes: shown beside the experiment.
            tags: of the experiment.
            checkpoints: upload the best weights when the training is finished.
            run_dir: the run's folder.
            config: plain containers, shown as parameters.
            resume_step: the last step that the resumed run has done; None for a new run.

        Raises:
            ConfigError: there is no such mode, or comet_ml cannot be imported.
        """
        check_mode(mode)
        self._run: Any = None
        self._name, self._checkpoints = run_name or "model", checkpoints
        if mode == "disabled":
            return
        with importing("comet_ml", install("trackers")):
            import comet_ml
        folder = Path(run_dir)
        with starting("Comet"):
            online = mode == "online" and bool(comet_ml.get_config("comet.api_key"))
            if mode == "online" and not online:
                log.warning("Comet goes offline: there is no API key (`comet login` stores one)")
            run_id = run_id or read_id(folder / _ID_FILE, resume_step)
            (folder / "comet").mkdir(parents=True, exist_ok=True)
            automatic = ("code", "graph", "git_metadata", "git_patch")
            self._run = comet_ml.start(
                workspace=workspace,
                project=project_name,
                experiment_key=run_id,
                mode="get_or_create",
                online=online,
                experiment_config=comet_ml.ExperimentConfig(
                    name=run_name,
                    tags=None if tags is None else list(tags),
                    offline_directory=str(folder / "comet"),
                    auto_output_logging=False,
                    auto_param_logging=False,
                    auto_metric_logging=False,
                    parse_args=False,
                    display_summary_level=0,
                    **{f"log_{name}": False for name in automatic},
                ),
            )
            write_whole(folder / _ID_FILE, f"{self._run.get_key()}\n")
            self._run.log_parameters(flattened(config or {}))
            for name, text in {"group": group, "notes": notes}.items():
                if text is not None:
                    self._run.log_other(name, text)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        if self._run is not None:
            self._run.log_metrics(dict(values), step=step)

    def table(self, name: str, frame: pd.DataFrame, step: int) -> None:
        if self._run is not None:
            self._run.log_table(f"{name.replace('/', '_')}.csv", tabular_data=frame)

    def figure(self, name: str, figure: Figure, step: int) -> None:
        if self._run is not None:
            self._run.log_figure(figure_name=name, figure=figure, step=step)

    def audio(self, name: str, waveform: np.ndarray, sample_rate: int, step: int) -> None:
        if self._run is not None:
            file_name = f"{name.replace('/', '_')}.wav"
            self._run.log_audio(waveform, sample_rate=sample_rate, file_name=file_name, step=step)

    def result(self, values: Mapping[str, float], checkpoint: Path) -> None:
        if self._run is not None:
            for name, value in values.items():
                self._run.log_other(name, value)
            if self._checkpoints:
                self._run.log_model(self._name, str(checkpoint))

    def close(self) -> None:
        run, self._run = self._run, None
        if run is not None:
            run.end()
