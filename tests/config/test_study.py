"""Optuna's sweeper with a launcher that computes: trials counted, continued, failed, and told."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest

from deepspeech2.config.study import OptunaSweeper
from deepspeech2.errors import ConfigError

RANGE = "lr=tag(log,interval(1e-4,1e-2))"


class Launcher:
    """Computes a job's value from its overrides."""

    def __init__(self, value: Callable[[dict[str, str]], float]) -> None:
        self.value = value
        self.jobs: list[list[str]] = []
        self.numbers: list[int] = []

    def launch(self, jobs: Sequence[list[str]], initial_job_idx: int) -> list[Any]:
        self.numbers.append(initial_job_idx)
        self.jobs += jobs
        return [
            SimpleNamespace(return_value=self.value(dict(word.split("=", 1) for word in job)))
            for job in jobs
        ]


def lr(job: dict[str, str]) -> float:
    """Least at 1e-3."""
    return abs(math.log10(float(job["lr"])) + 3)


def sweep(
    folder: Path,
    launcher: Launcher,
    *words: str,
    n_trials: int = 4,
    n_jobs: int = 1,
    direction: Any = "minimize",
    params: dict[str, str] | None = None,
) -> None:
    sampler = optuna.samplers.RandomSampler(seed=1)
    sweeper = OptunaSweeper(
        n_trials, n_jobs, sampler, direction, str(folder / "study.log"), "sweep", params
    )
    sweeper.launcher = launcher  # type: ignore[assignment]
    sweeper.sweep(list(words))


def test_trials_are_counted_and_the_best_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    launcher = Launcher(lr)
    sweep(tmp_path, launcher, RANGE, "model=tiny", n_trials=5, n_jobs=2)
    values = [lr(dict(word.split("=", 1) for word in job)) for job in launcher.jobs]
    assert len(values) == len(set(values)) == 5
    assert launcher.numbers == [0, 2, 4]
    assert all(job[0] == "model=tiny" for job in launcher.jobs)
    assert all(1e-4 <= float(job[1].removeprefix("lr=")) <= 1e-2 for job in launcher.jobs)
    assert f"best of 5 trials: {min(values):.6g} with lr=" in capsys.readouterr().out


def test_a_study_is_continued_until_enough_trials_have_a_value(tmp_path: Path) -> None:
    first = Launcher(lr)
    sweep(tmp_path, first, RANGE, n_trials=3)
    second = Launcher(lr)
    sweep(tmp_path, second, RANGE, n_trials=5)
    assert len(second.jobs) == 2
    assert not {tuple(job) for job in first.jobs} & {tuple(job) for job in second.jobs}
    third = Launcher(lr)
    sweep(tmp_path, third, RANGE, n_trials=5)
    assert not third.jobs


def test_what_was_interrupted_is_run_again_with_its_settings(tmp_path: Path) -> None:
    def interrupted(job: dict[str, str]) -> float:
        raise KeyboardInterrupt

    first, second = Launcher(interrupted), Launcher(lr)
    with pytest.raises(KeyboardInterrupt):
        sweep(tmp_path, first, RANGE)
    sweep(tmp_path, second, RANGE)
    assert second.jobs[0] == first.jobs[0]
    assert len(second.jobs) == 4


def test_a_failed_trial_has_no_value_and_is_not_the_best(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = iter([math.nan, 3.0, math.inf, 2.0])
    sweep(tmp_path, Launcher(lambda _: next(values)), "model=tiny,small", direction="maximize")
    assert "best of 2 trials: 3 with model=" in capsys.readouterr().out
    again = Launcher(lambda _: 1.0)  # the two that failed lack a value still
    sweep(tmp_path, again, "model=tiny,small", direction="maximize")
    assert len(again.jobs) == 2


@pytest.mark.parametrize(
    ("word", "fits"),
    [
        ("n=range(2,9,3)", lambda value: int(value) in (2, 5, 8)),
        ("n=int(interval(2,4))", lambda value: int(value) in (2, 3, 4)),
        ("n=interval(0.5,1.0)", lambda value: 0.5 <= float(value) <= 1),
        ("n=choice(tiny,small)", lambda value: value in ("tiny", "small")),
        ("n=[1,2],[3]", lambda value: value in ("[1,2]", "[3]")),
    ],
)
def test_ranges_of_hydra(tmp_path: Path, word: str, fits: Callable[[str], bool]) -> None:
    launcher = Launcher(lambda _: 1.0)
    name, values = word.split("=", 1)
    sweep(tmp_path, launcher, params={name: values})
    assert len(launcher.jobs) == 4
    assert all(fits(job[0].removeprefix("n=")) for job in launcher.jobs)


def test_what_cannot_be_swept(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has nothing to choose: give a range"):
        sweep(tmp_path, Launcher(lr), "lr=1")
    sweep(tmp_path, Launcher(lr), RANGE)
    with pytest.raises(ConfigError, match=r"a study to minimize where trainer.monitor asks to max"):
        sweep(tmp_path, Launcher(lr), RANGE, direction="maximize")
