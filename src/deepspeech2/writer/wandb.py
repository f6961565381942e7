"""Weights & Biases, online where there is a key and a network, otherwise offline.

The only module that imports wandb, and only when a writer is built.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from deepspeech2.errors import ConfigError
from deepspeech2.files import write_whole
from deepspeech2.writer.base import (
    MODES,
    Writer,
    check_mode,
    error_line,
    goal,
    importing,
    rasterise,
    read_id,
)

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

_INIT_TIMEOUT = 30.0  # seconds until a server that does not answer means: offline
_FINISH_TIMEOUT = 300.0  # seconds for the last upload; the files stay in the run's folder
_ID_FILE = "wandb_run_id.txt"
_FORBIDDEN = "/\\#?%:"  # in names that become part of an address
_LONGEST = 128  # characters of such a name

_log = logging.getLogger(__name__)


def effective_mode(mode: str) -> str:
    """Return ``mode`` or that of WANDB_MODE, whichever sends less.

    Raises:
        ConfigError: one of the two does not exist.
    """
    check_mode(mode)
    given = os.environ.get("WANDB_MODE") or mode
    asked = {"dryrun": "offline", "run": "online"}.get(given, given)
    if asked not in MODES:
        raise ConfigError(f"WANDB_MODE must be one of {', '.join(MODES)}, but is {given!r}")
    return max(mode, asked, key=MODES.index)


def _check_name(value: str | None, key: str) -> None:
    """Raise ConfigError where W&B would refuse the name."""
    if value is None:
        return
    if set(value) & set(_FORBIDDEN) or not value.strip() or len(value) > _LONGEST:
        remedy = "the last part of the run's address alone" if key == "writer.run_id" else "another"
        raise ConfigError(
            f"{key} must have 1 to {_LONGEST} characters and none of {' '.join(_FORBIDDEN)}, but is"
            f" {value!r}: give {remedy}"
        )


@final
class WandbWriter(Writer):
    """A run of Weights & Biases. It never asks for anything and never ends the training."""

    def __init__(
        self,
        project_name: str,
        run_name: str | None = None,
        mode: str = "online",
        entity: str | None = None,
        run_id: str | None = None,
        group: str | None = None,
        tags: Sequence[str] | None = None,
        notes: str | None = None,
        job_type: str | None = None,
        checkpoints: bool = False,
        *,
        run_dir: str | Path,
        config: Mapping[str, Any] | None = None,
        resume_step: int | None = None,
        monitor: str | None = None,
    ) -> None:
        """
        Args:
            project_name: the project that the run belongs to.
            run_name: the name that is shown.
            mode: online, offline or disabled. Without a key or a network online becomes offline.
            entity: the user or team; None for the default of the key.
            run_id: the run to resume. By default a resumed run finds its own id in its folder.
            group: of runs that are shown together; a sweep sets it to its name.
            tags, notes, job_type: shown beside the run.
            checkpoints: upload the best weights as an artifact when the training is finished.
            run_dir: the run's folder; everything is written below it.
            config: plain containers, shown beside the run.
            resume_step: the last step that the resumed run has done; None for a new run. W&B
                ignores lines of steps that it already has.
            monitor: as ``trainer.monitor``: the summary has the best value of this metric, of
                error rates and of validation losses, and the last value of the others.

        Raises:
            ConfigError: ``mode`` or WANDB_MODE is none of the three, W&B takes no such name, or
                wandb cannot be imported.
        """
        asked, mode = mode, effective_mode(mode)
        _check_name(run_id, "writer.run_id")
        _check_name(project_name, "writer.project_name")
        if mode != asked:
            _log.info("W&B is %s, as WANDB_MODE=%s says", mode, os.environ["WANDB_MODE"])
        self._reported = False
        self._monitor, self._checkpoints = monitor, checkpoints
        self._defined: set[str] = set()
        self._run: Any = None
        if mode == "disabled":
            return
        with importing("wandb"):
            import wandb
        self._wandb: Any = wandb
        run_dir = Path(run_dir)
        run_dir.mkdir(parents=True, exist_ok=True)
        id_file = run_dir / _ID_FILE
        run_id = run_id or read_id(id_file, resume_step)
        options = {
            "project": project_name,
            "name": run_name,
            "entity": entity,
            "group": group,
            "tags": None if tags is None else list(tags),
            "notes": notes,
            "job_type": job_type,
            "id": run_id,
            "resume": None if run_id is None else "allow",
            "dir": str(run_dir),
            "config": None if config is None else dict(config),
        }
        self._run = self._start(options, self._possible_mode(mode))
        if self._run is not None:
            write_whole(id_file, f"{self._run.id}\n")

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        for name in values.keys() - self._defined:
            self._defined.add(name)
            if self._run is not None and (best := goal(name, self._monitor)):
                self._guard(partial(self._run.define_metric, name, summary=best))
        self._write(lambda: dict(values), step)

    def table(self, name: str, frame: pd.DataFrame, step: int) -> None:
        # Object columns: wandb would otherwise refuse a missing reference among texts.
        self._write(lambda: {name: self._wandb.Table(dataframe=frame.astype(object))}, step)

    def figure(self, name: str, figure: Figure, step: int) -> None:
        self._write(lambda: {name: self._wandb.Image(rasterise(figure))}, step)

    def audio(self, name: str, waveform: np.ndarray, sample_rate: int, step: int) -> None:
        self._write(lambda: {name: self._wandb.Audio(waveform, sample_rate=sample_rate)}, step)

    def result(self, values: Mapping[str, float], checkpoint: Path) -> None:
        run = self._run
        if run is None:
            return
        self._guard(lambda: run.summary.update(dict(values)))
        if self._checkpoints:
            self._guard(lambda: self._upload(run, values, checkpoint))

    def _upload(self, run: Any, values: Mapping[str, float], checkpoint: Path) -> None:
        artifact = self._wandb.Artifact(f"model-{run.id}", "model", metadata=dict(values))
        artifact.add_file(str(checkpoint))
        run.log_artifact(artifact, aliases=["best"])

    def close(self) -> None:
        run, self._run = self._run, None
        if run is not None:
            self._guard(run.finish)

    def _possible_mode(self, mode: str) -> str:
        """``mode``, but offline in place of online where there is no key."""
        if mode != "online":
            return mode
        try:
            # Reads WANDB_API_KEY, netrc and the settings, and does not ask.
            if self._wandb.login(prompt=False, verify=False):
                return "online"
            reason = "there is no API key (`wandb login` stores one)"
        except Exception as error:
            reason = error_line(error)
        _log.warning("W&B goes offline: %s", reason)
        return "offline"

    def _start(self, options: Mapping[str, Any], mode: str) -> Any:
        """Start the run; None when W&B cannot even write files: training matters more."""
        for attempt in dict.fromkeys((mode, "offline")):
            timeouts = {"init_timeout": _INIT_TIMEOUT, "finish_timeout": _FINISH_TIMEOUT}
            settings = self._wandb.Settings(silent=True, console="off", **timeouts)
            try:
                run = self._wandb.init(**options, mode=attempt, settings=settings)
            except Exception as error:
                _log.warning("W&B does not start in mode %s: %s", attempt, error_line(error))
                continue
            if attempt == "online":
                _log.info("W&B shows the run at %s", run.url)
            elif attempt == "offline":
                _log.info("W&B is offline; to upload the run: wandb sync %s", Path(run.dir).parent)
            return run
        return None

    def _write(self, values: Callable[[], dict[str, Any]], step: int) -> None:
        run = self._run
        if run is not None:
            self._guard(lambda: run.log(values(), step=step))

    def _guard(self, action: Callable[[], object]) -> None:
        """Run ``action``; a failure is logged the first time and never ends the training."""
        try:
            action()
        except Exception as error:
            if not self._reported:
                _log.warning("W&B failed, training goes on without it: %s", error_line(error))
            self._reported = True
