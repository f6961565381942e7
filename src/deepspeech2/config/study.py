"""Optuna chooses the settings of a sweep: ``hydra/sweeper=optuna``.

For the Optuna of today: the sweeper that Hydra's makers offer needs one of 2022, whose storage does
not work with today's SQLAlchemy.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Literal

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Transformer
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from deepspeech2.errors import ConfigError


class OptunaSweeper(Sweeper):
    """Asks Optuna for settings, has the launcher run them, and returns their values to Optuna.

    The study is kept in a file: started again, it continues until ``n_trials`` have a value, and
    begins with the settings that were interrupted.
    """

    # Hydra accepts plugins of the package hydra_plugins alone
    __module__ = "hydra_plugins.deepspeech2_optuna"

    def __init__(
        self,
        n_trials: int,
        n_jobs: int,
        sampler: Any,
        direction: Literal["minimize", "maximize"],
        storage: str,
        study_name: str,
        params: dict[str, str] | None,
    ) -> None:
        """
        Args:
            n_trials: with a value, in the whole study.
            n_jobs: settings that are asked for, and launched, at a time.
            sampler: of Optuna.
            direction: minimize or maximize.
            storage: a file, or the address of a database that SQLAlchemy knows.
            study_name: in the storage.
            params: override to its range, beside those of the command line.
        """
        self.n_trials = n_trials
        self.n_jobs = n_jobs
        self.sampler = sampler
        self.direction = direction
        self.storage = storage
        self.study_name = study_name
        self.params = params or {}
        self.launcher: Launcher | None = None
        self.config: DictConfig | None = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Make the launcher."""
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            config=config, hydra_context=hydra_context, task_function=task_function
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run the study; ``arguments`` are the command line's overrides, with ranges."""
        assert self.launcher is not None
        words = [f"{key}={value}" for key, value in self.params.items()] + arguments
        overrides = OverridesParser.create().parse_overrides(words)
        space = {each.get_key_element(): _range(each) for each in overrides if _is_sweep(each)}
        fixed = [each.input_line or "" for each in overrides if not _is_sweep(each)]
        if not space:
            raise ConfigError(
                "hydra/sweeper=optuna has nothing to choose: give a range, as in"
                " 'optimizer.lr=tag(log,interval(1e-4,1e-2))'"
            )
        study, launched = self._study(), 0
        to_do = self.n_trials - _finished(study)
        while to_do > 0:
            trials = [study.ask(space) for _ in range(min(self.n_jobs, to_do))]
            jobs = [
                [*fixed, *(f"{key}={_written(value)}" for key, value in trial.params.items())]
                for trial in trials
            ]
            returns = self.launcher.launch(jobs, initial_job_idx=launched)
            for trial, job in zip(trials, returns, strict=True):
                value = float(job.return_value)
                failed = not math.isfinite(value)
                study.tell(trial, state=_states().FAIL if failed else None,
                           values=None if failed else value)  # fmt: skip
            launched += len(jobs)
            to_do -= len(jobs)
        if _finished(study):
            best = study.best_trial
            print(f"best of {_finished(study)} trials: {best.value:.6g} with {_shown(best.params)}")

    def _study(self) -> Any:
        """Open the study, and queue the settings of trials that were interrupted."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage: Any = self.storage
        if "://" not in storage:
            from optuna.storages import JournalStorage
            from optuna.storages.journal import JournalFileBackend

            storage = JournalStorage(JournalFileBackend(str(Path(storage))))
        study = optuna.create_study(
            study_name=self.study_name,
            storage=storage,
            sampler=self.sampler,
            direction=self.direction,
            load_if_exists=True,
        )
        if study.direction.name.lower() != self.direction:
            raise ConfigError(
                f"{self.storage} contains a study to {study.direction.name.lower()} where"
                f" trainer.monitor asks to {self.direction}: choose another writer.run_name"
            )
        if study.trials:
            self.sampler.reseed_rng()  # it would choose the first settings again
        for trial in study.get_trials(states=(_states().RUNNING,)):
            study.tell(trial.number, state=_states().FAIL)
            study.enqueue_trial(trial.params)
        return study


def _states() -> Any:
    from optuna.trial import TrialState

    return TrialState


def _finished(study: Any) -> int:
    return len(study.get_trials(deepcopy=False, states=(_states().COMPLETE,)))


def _is_sweep(override: Override) -> bool:
    return override.is_sweep_override()


def _range(override: Override) -> Any:
    """The distribution that a choice, range or interval of Hydra's grammar names."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value = override.value()
    if isinstance(value, IntervalSweep):
        low, high, log = value.start, value.end, "log" in value.tags
        if low is None or high is None:
            raise HydraException(f"{override.input_line}: an interval needs both ends")
        if isinstance(low, int) and isinstance(high, int):
            return IntDistribution(low, high, log=log)
        return FloatDistribution(low, high, log=log)
    numbers: list[Any] = list(override.sweep_iterator(transformer=Transformer.encode))
    ordered = isinstance(value, RangeSweep) and not value.shuffle and len(numbers) > 1
    if ordered and all(isinstance(number, int) for number in numbers):
        return IntDistribution(min(numbers), max(numbers), step=abs(numbers[1] - numbers[0]))
    return CategoricalDistribution(numbers)


def _written(value: object) -> str:
    """As Hydra reads it; choices are already written so."""
    return value if isinstance(value, str) else json.dumps(value)


def _shown(params: dict[str, Any]) -> str:
    return ", ".join(f"{key}={_written(value)}" for key, value in params.items())
