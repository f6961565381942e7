"""A sweep: Hydra's ``-m`` runs a command once for each setting, each in a folder of its own.

A job that fails does not end the others. All are recorded in ``sweep.jsonl``, in the folder that
contains theirs: a sweep that is started again skips what is finished there, and resumes the rest.
"""

from __future__ import annotations

import gc
import json
import os
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from filelock import FileLock
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from deepspeech2.config.finished import objective
from deepspeech2.config.quoting import in_quotes
from deepspeech2.config.sweep_table import RECORD, TABLE, JobRecord, records, sweep_table
from deepspeech2.errors import SIGNALLED, ConfigError, Interrupted, SpeechError
from deepspeech2.escaping import without_secrets
from deepspeech2.files import lock, plain_name, safe_name, write_whole
from deepspeech2.paths import install, resolve
from deepspeech2.settings.training import parse_monitor

_OWN = "DEEPSPEECH2_SWEEP"
"""Names the sweep's folder to its jobs, which the joblib launcher starts in other processes."""


class Ended(BaseException):
    """Carries what a user can mend past Hydra, which would print a line of its own before it."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class SweepStart(Callback):
    """Prepares a sweep, before its first job is composed. Named in ``configs/settings.yaml``."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        try:
            _prepare(config)
        except (SpeechError, OSError, HydraException, OmegaConfBaseException) as error:
            raise Ended(error) from error


@dataclass
class Sweep:
    """The sweep that this process has started.

    Attributes:
        begin: where its part of the record begins.
        monitor: metric and sign of ``trainer.monitor``; None if the jobs are no trainings.
    """

    folder: Path
    begin: int
    lock: FileLock
    monitor: tuple[str, int] | None

    def finish(self) -> int:
        """Print which jobs failed, and the table; returns the sweep's exit status."""
        os.environ.pop(_OWN, None)
        try:
            with (self.folder / RECORD).open("rb") as file:
                file.seek(self.begin)
                jobs = records(file.read())
            self._tabulate()
        finally:
            self.lock.release(force=True)
        failed = [job for job in jobs if job.status]
        for job in failed:
            print(f"job {job.number} failed: {job.name}: {job.error}")
        if jobs:
            print(f"{len(jobs) - len(failed)} of {len(jobs)} jobs finished: {self.folder}")
        return max((job.status for job in failed), default=0)

    def _tabulate(self) -> None:
        """Print and write the table over all jobs in the folder, those of earlier starts too."""
        if self.monitor is None or not (self.folder / RECORD).stat().st_size:
            return
        table = sweep_table(self.folder, *self.monitor)
        print(table)
        try:
            write_whole(self.folder / TABLE, f"{table}\n")
        except OSError as error:
            print(f"{self.folder / TABLE} cannot be written: {error.strerror or error}")


_current: Sweep | None = None


def finish() -> int:
    """End the sweep that this process has started, if any; returns its exit status."""
    global _current
    done, _current = _current, None
    return done.finish() if done else 0


def _prepare(config: DictConfig) -> None:
    """Choose the sweep's folder, and let Hydra name jobs by what differs between them."""
    global _current
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("-m and torchrun exclude each other: start torchrun once for each job")
    training = "trainer" in config
    name = str(config.writer.run_name) if training else ""
    overrides = list(config.hydra.overrides.hydra)
    if training:
        folder = resolve(str(config.trainer.save_dir)) / plain_name(name, "writer.run_name")
        overrides.append(f"hydra.sweep.dir={in_quotes(str(folder))}")
    else:
        folder = Path(str(config.hydra.sweep.dir)).absolute()
    parser = OverridesParser.create()
    words = [parser.parse_override(word) for word in config.hydra.overrides.task]
    fixed = [word.key_or_group for word in words if not word.is_sweep_override()]
    listed = ",".join(map(in_quotes, [*fixed, "writer.run_name"]))
    overrides.append(f"hydra.job.config.override_dirname.exclude_keys=[{listed}]")

    with open_dict(config):
        config.hydra.overrides.hydra = overrides
        config.hydra.sweep.dir = str(folder)
        sweeper = config.hydra.sweeper
        if str(sweeper.get("_target_")).endswith(".OptunaSweeper"):
            _prepare_study(config, name, folder)
    folder.mkdir(parents=True, exist_ok=True)
    held = lock(folder / ".sweep.lock", f"another sweep runs in {folder}: wait until it ends")
    path = folder / RECORD
    path.touch()
    os.environ[_OWN] = str(folder)
    monitor = parse_monitor(str(config.trainer.monitor)) if training else None
    _current = Sweep(folder, path.stat().st_size, held, monitor)


def _prepare_study(config: DictConfig, name: str, folder: Path) -> None:
    if find_spec("optuna") is None:
        raise ConfigError(f"hydra/sweeper=optuna needs Optuna: {install('sweep')}")
    if "trainer" not in config:
        raise ConfigError("hydra/sweeper=optuna optimises trainer.monitor: it needs a training")
    metric, sign = parse_monitor(str(config.trainer.monitor))
    if not metric:
        raise ConfigError("trainer.monitor=off leaves nothing to optimise: name a metric there")
    sweeper = config.hydra.sweeper
    sweeper.direction = "minimize" if sign > 0 else "maximize"
    sweeper.study_name = sweeper.study_name or name
    sweeper.storage = sweeper.storage or str(folder / "study.log")


def in_sweep() -> bool:
    """Whether the config at hand is that of a job."""
    return _OWN in os.environ


def run_job(
    config: DictConfig,
    run: Callable[[DictConfig], int],
    explain: Callable[[Exception], str],
) -> float:
    """Run one job and record how it ends; returns its objective, NaN if it has none.

    A training that is finished is not run again.

    Args:
        run: checks the config and runs the command with it; returns the exit status.

    Raises:
        Interrupted: a signal stopped the job, which ends the sweep.
    """
    hydra, folder = HydraConfig.get(), Path(os.environ[_OWN])
    name = str(hydra.job.override_dirname)
    number = int(hydra.job.num)
    started, training = time.monotonic(), "trainer" in config
    status, value, error = 1, None, None
    print(f"job {number}: {name or 'as configured'}", flush=True)
    try:
        if training:
            _place(config, name)
        value = objective(config) if training else None
        if value is not None:
            status = 0
            print(f"job {number} is finished already", flush=True)
        else:
            status = run(config)
            value = None if status or not training else objective(config)
    except (SpeechError, OSError, HydraException, OmegaConfBaseException) as failure:
        status, error = 2, explain(failure)
        print(f"error: {error}", flush=True)
    except Exception as failure:  # a bug in one setting must not cost the results of the others
        error = f"{type(failure).__name__}: {failure}"
        traceback.print_exc()
    if status > SIGNALLED:
        raise Interrupted(status - SIGNALLED)
    gc.collect()  # the next job finds the memory free
    if status and error is None:
        error = f"exit status {status}, see what it printed"
    took = round(time.monotonic() - started, 3)
    known = value if value is not None and value == value else None
    fixed = set(hydra.job.config.override_dirname.exclude_keys)
    parts = dict(word.lstrip("+").split("=", 1) for word in hydra.overrides.task if "=" in word)
    settings = {key: text for key, text in parts.items() if key not in fixed}
    _append(folder / RECORD, JobRecord(number, name, settings, status, known, error, took))
    return float("nan") if known is None else known


def _place(config: DictConfig, name: str) -> None:
    """Give a job a folder of its own below that of the sweep, where it can be resumed."""
    run_name = str(config.writer.run_name)
    with open_dict(config):
        if name:
            config.trainer.save_dir = str(Path(str(config.trainer.save_dir)) / run_name)
            config.writer.run_name = safe_name(name)
        if not config.trainer.resume_from and not config.trainer.override:
            config.trainer.resume_from = "auto"
        for writer in (config.writer, *(config.writer.get("writers") or {}).values()):
            if "group" in writer and writer.group is None:
                writer.group = run_name


def _append(path: Path, job: JobRecord) -> None:
    """Add a line at once: jobs may run beside each other."""
    line = without_secrets(json.dumps(asdict(job), ensure_ascii=False)) + "\n"
    with path.open("ab", buffering=0) as file:
        file.write(line.encode("utf-8", "backslashreplace"))
