"""MLflow: a run on a tracking server, or in a database in the run's folder.

The only module that imports mlflow, and only when a writer is built.
"""

from __future__ import annotations

import io
import logging
import os
import re
import tempfile
import time
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from deepspeech2.files import safe_name, write_whole
from deepspeech2.paths import install
from deepspeech2.writer.base import Writer, check_mode, flattened, importing, read_id, starting

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

_ID_FILE = "mlflow_run_id.txt"
_ADDRESS = "MLFLOW_TRACKING_URI"
_AT_A_TIME = 100  # parameters that MLflow takes in a request
_LONGEST = 500  # characters of a parameter: all servers take as many
_PATIENT = {
    # a server that does not answer would keep each step waiting for minutes
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_DISABLE_TELEMETRY": "true",  # nothing is sent that nobody has asked for
}
log = logging.getLogger(__name__)


@final
class MlflowWriter(Writer):
    """A run of MLflow, which takes no parentheses: ``val/WER_(Argmax)`` is ``val/WER_Argmax``."""

    def __init__(
        self,
        project_name: str,
        run_name: str | None = None,
        mode: str = "online",
        tracking_uri: str | None = None,
        run_id: str | None = None,
        group: str | None = None,
        tags: Mapping[str, str] | None = None,
        notes: str | None = None,
        checkpoints: bool = False,
        *,
        run_dir: str | Path,
        config: Mapping[str, Any] | None = None,
        resume_step: int | None = None,
    ) -> None:
        """
        Args:
            project_name: the experiment that the run belongs to; made if it is missing.
            run_name: the name that is shown.
            mode: online, offline (``mlflow.db`` in ``<run_dir>/mlflow``) or disabled. Without an
                address online becomes offline.
            tracking_uri: of a server or database; None for MLFLOW_TRACKING_URI.
            run_id: the run to continue. By default a resumed run finds its own in its folder.
            group: becomes the tag ``group``.
            tags: by name.
            notes: the description.
            checkpoints: upload the best weights when the training is finished.
            run_dir: the run's folder.
            config: plain containers, shown as parameters, of which MLflow keeps the first values.
            resume_step: the last step that the resumed run has done; None for a new run.

        Raises:
            ConfigError: there is no such mode, or mlflow cannot be imported.
        """
        check_mode(mode)
        self._run_id: str | None = None
        self._checkpoints = checkpoints
        if mode == "disabled":
            return
        for name, value in _PATIENT.items():
            os.environ.setdefault(name, value)
        with importing("mlflow", install("trackers")):
            import mlflow
        folder = Path(run_dir)
        with starting("MLflow"):
            address, artifacts = tracking_uri or os.environ.get(_ADDRESS), None
            if mode == "offline" or not address:
                if mode == "online":
                    log.warning("MLflow goes offline: set writer.tracking_uri or %s", _ADDRESS)
                own = (folder / "mlflow").absolute()
                own.mkdir(parents=True, exist_ok=True)
                address = f"sqlite:///{own / 'mlflow.db'}"
                artifacts = (own / "artifacts").as_uri()
                log.info("MLflow shows the run with: mlflow ui --backend-store-uri %s", address)
            self._entities: Any = mlflow.entities
            self._client: Any = mlflow.MlflowClient(tracking_uri=address)
            before = run_id or read_id(folder / _ID_FILE, resume_step)
            if before:
                self._client.update_run(before, status="RUNNING")
            else:
                found = self._client.get_experiment_by_name(project_name)
                experiment = (
                    self._client.create_experiment(project_name, artifact_location=artifacts)
                    if found is None
                    else found.experiment_id
                )
                named = {"group": group, "mlflow.note.content": notes, **(tags or {})}
                known = {name: str(text) for name, text in named.items() if text is not None}
                run = self._client.create_run(experiment, tags=known, run_name=run_name)
                before = str(run.info.run_id)
                write_whole(folder / _ID_FILE, f"{before}\n")
                self._parameters(before, flattened(config or {}))
            self._run_id = before

    def _parameters(self, run_id: str, values: Mapping[str, Any]) -> None:
        left = iter(values.items())
        while some := list(islice(left, _AT_A_TIME)):
            params = [self._entities.Param(_name(k), str(v)[:_LONGEST]) for k, v in some]
            self._client.log_batch(run_id, params=params)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        if self._run_id is not None:
            now = int(1000 * time.time())
            metrics = [
                self._entities.Metric(_name(name), float(value), now, step)
                for name, value in values.items()
            ]
            self._client.log_batch(self._run_id, metrics=metrics)

    def table(self, name: str, frame: pd.DataFrame, step: int) -> None:
        if self._run_id is not None:
            file = f"tables/{_file(name)}.csv"
            self._client.log_text(self._run_id, frame.to_csv(index=False), file)

    def figure(self, name: str, figure: Figure, step: int) -> None:
        if self._run_id is not None:
            self._client.log_figure(self._run_id, figure, f"plots/{_file(name)}.png")

    def audio(self, name: str, waveform: np.ndarray, sample_rate: int, step: int) -> None:
        if self._run_id is None:
            return
        import soundfile

        wav = io.BytesIO()
        soundfile.write(wav, waveform, sample_rate, format="WAV", subtype="PCM_16")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{_file(name)}.wav"
            path.write_bytes(wav.getvalue())
            self._client.log_artifact(self._run_id, str(path), "audio")

    def result(self, values: Mapping[str, float], checkpoint: Path) -> None:
        if self._run_id is None:
            return
        tags = [
            self._entities.RunTag(_name(name), f"{value:.6g}") for name, value in values.items()
        ]
        self._client.log_batch(self._run_id, tags=tags)
        if self._checkpoints:
            self._client.log_artifact(self._run_id, str(checkpoint), "checkpoints")

    def close(self) -> None:
        run_id, self._run_id = self._run_id, None
        if run_id is not None:
            self._client.set_terminated(run_id)


def _name(name: str) -> str:
    """A name that MLflow takes: letters, digits and ``_-. :/``."""
    return re.sub(r"[^\w\-. :/]", "", name)


def _file(name: str) -> str:
    return safe_name(name.replace("/", "_"))
