"""What a user may say about a training run."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

from src.errors import ConfigError
from src.trainer.interval import Interval
from src.trainer.monitor import Monitor
from src.types import check_type

_AVERAGE = re.compile(r"(last|best) (\d+)")


def parse_average(text: str | None) -> tuple[str, int] | None:
    """``last 5`` as ("last", 5).

    Raises:
        ConfigError: it is neither of that kind nor None, or fewer than two are asked for.
    """
    if text is None:
        return None
    found = _AVERAGE.fullmatch(text)
    if found is None or int(found[2]) < 2:
        raise ConfigError(
            f"trainer.average must be 'last N' or 'best N' with N at least 2, or null, but is"
            f" {text!r}"
        )
    return found[1], int(found[2])


@dataclass(frozen=True, slots=True)
class TrainerSettings:
    """The config group ``trainer``. Validates itself.

    Attributes:
        n_epochs: epochs in the whole run.
        epoch_len: steps of an epoch; None is a pass over the training data.
        log_step: steps between two lines of training metrics.
        save_period: epochs between two kept checkpoints.
        accumulate: batches of each process that make one step.
        save_every: between two rewritings of ``checkpoint-last.pth``, to resume from: steps, or
            minutes as in ``10 min``; None writes it at the end of each epoch and when
            interrupted.
        decode_period: epochs between two validations with the configured decoder; the greedy
            one scores every epoch, the last epoch has both.
        monitor: ``min`` or ``max`` and a metric, as in ``min val_WER_(Argmax)``, by which
            ``model_best.pth`` is chosen; ``off`` takes the last epoch.
        early_stop: epochs without a better value after which training ends; None never.
        max_grad_norm: gradients are scaled down to this norm; None leaves them.
        nonfinite_patience: steps in a row without a finite loss or gradient, each of which is
            skipped, after which the run stops; None never.
        ema: decay of an exponential moving average of the weights, which is scored beside them
            after each epoch; None keeps none.
        average: ``last N`` or ``best N`` by ``monitor``: in the end the mean of so many kept
            checkpoints is scored too; None makes none.
        seed: of everything that is random.
        device: auto, cpu, cuda or cuda:N.
        precision: auto, 32, bf16 or 16.
        threads: CPU threads; None leaves torch's choice.
        resume_from: ``auto`` (the newest checkpoint of the run), or a checkpoint's path or its
            name within the run.
        from_pretrained: a checkpoint whose weights the run starts from, as far as they fit.
        freeze: patterns of the names of the network's parameters that stay as they are.
        save_dir: holds the runs.
        override: move a finished run of the same name aside instead of refusing to start.
    """

    n_epochs: int
    epoch_len: int | None = None
    accumulate: int = 1
    log_step: int = 50
    save_period: int = 5
    save_every: int | str | None = None
    decode_period: int = 1
    monitor: str = "min val_WER_(Argmax)"
    early_stop: int | None = None
    max_grad_norm: float | None = 10.0
    nonfinite_patience: int | None = 20
    ema: float | None = None
    average: str | None = None
    seed: int = 1
    device: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    resume_from: str | None = None
    from_pretrained: str | None = None
    freeze: list[Any] | None = None
    save_dir: str = "saved"
    override: bool = False

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for field in fields(self):
            check_type(f"trainer.{field.name}", getattr(self, field.name), hints[field.name])
        for name in (
            "n_epochs",
            "epoch_len",
            "accumulate",
            "log_step",
            "save_period",
            "nonfinite_patience",
            "decode_period",
            "early_stop",
            "threads",
            "max_grad_norm",
        ):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"trainer.{name} must be positive, but is {value}")
        if self.resume_from and self.resume_from != "auto" and self.from_pretrained:
            raise ConfigError(
                f"trainer.resume_from={self.resume_from} and trainer.from_pretrained="
                f"{self.from_pretrained} exclude each other: set one of them to null"
            )
        if self.ema is not None and not 0 < self.ema < 1:
            raise ConfigError(f"trainer.ema must be null or between 0 and 1, but is {self.ema}")
        for pattern in self.freeze or []:
            if not isinstance(pattern, str):
                raise ConfigError(
                    f"trainer.freeze must hold patterns of names, but has {pattern!r}"
                )
        Monitor.parse(self.monitor, self.early_stop)
        Interval.parse(self.save_every, "trainer.save_every")
        average = parse_average(self.average)
        if average and average[0] == "best" and self.monitor == "off":
            raise ConfigError(
                f"trainer.average={self.average} is chosen by trainer.monitor, which is off: set"
                f" trainer.monitor, or trainer.average to 'last {average[1]}'"
            )
