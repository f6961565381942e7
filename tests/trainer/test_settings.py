"""Settings that name what is wrong with them, and the monitor that they describe."""

from __future__ import annotations

import math

import pytest

from deepspeech2.errors import ConfigError
from deepspeech2.settings import TrainerSettings
from deepspeech2.trainer.monitor import Monitor, Progress


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_epochs": 0}, "trainer.n_epochs must be a whole number of at least 1, but is 0"),
        (
            {"n_epochs": "ten"},
            "trainer.n_epochs must be a whole number of at least 1, but is 'ten'",
        ),
        ({"n_epochs": True}, "trainer.n_epochs must be a whole number of at least 1, but is True"),
        (
            {"n_epochs": 1, "epoch_len": 2.5},
            "trainer.epoch_len must be a whole number of at least 1 or null, but is 2.5",
        ),
        (
            {"n_epochs": 1, "max_grad_norm": -1},
            "trainer.max_grad_norm must be a number above 0 or null",
        ),
        ({"n_epochs": 1, "monitor": "val_WER"}, "trainer.monitor must be 'min METRIC'"),
        (
            {"n_epochs": 1, "accumulate": 0},
            "trainer.accumulate must be a whole number of at least 1, but is 0",
        ),
        (
            {"n_epochs": 1, "ema": 1.0},
            "trainer.ema must be a number between 0 and 1 or null, but is 1.0",
        ),
        ({"n_epochs": 1, "average": "best 1"}, "trainer.average must be 'last N' or 'best N'"),
        (
            {"n_epochs": 1, "average": "best 5", "monitor": "off"},
            "average=best 5 is chosen by trainer.monitor, which is off: .* to 'last 5'",
        ),
        ({"n_epochs": 1, "save_every": "soon"}, "trainer.save_every must be a positive number"),
        (
            {"n_epochs": 1, "resume_from": "b.pth", "from_pretrained": "a.pth"},
            "resume_from=b.pth and trainer.from_pretrained=a.pth exclude each other",
        ),
    ],
)
def test_bad_values_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainerSettings(**options)  # type: ignore[arg-type]


def test_monitor_keeps_the_best_and_runs_out_of_patience() -> None:
    monitor, progress = Monitor.parse("min val_WER_(Argmax)", patience=2), Progress()
    values = [0.5, 0.6, 0.4, math.nan, 0.4]
    verdicts = [monitor.update(progress, {"val/WER_(Argmax)": value}) for value in values]
    assert verdicts == [True, False, True, False, False]
    assert progress.best == 0.4
    assert monitor.exhausted(progress)


def test_monitor_ignores_epochs_that_did_not_measure() -> None:
    monitor, progress = Monitor.parse("max val_accuracy", patience=1), Progress()
    assert monitor.update(progress, {"val/accuracy": 1.0})
    assert not monitor.update(progress, {"val/loss": 0.0})
    assert not monitor.exhausted(progress)


def test_monitor_switched_off_takes_every_epoch() -> None:
    monitor, progress = Monitor.parse("off", patience=1), Progress()
    assert monitor.update(progress, {})
    assert monitor.update(progress, {"val/loss": 9.0})
    assert not monitor.exhausted(progress)
