"""How far a run is, which of its epochs is the best, and when it stops early."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from deepspeech2.datasets.loader import Position
from deepspeech2.errors import CheckpointError
from deepspeech2.escaping import printable
from deepspeech2.settings.training import parse_monitor

EMA = "_ema"
MEAN = "_mean"
KINDS = {"": "plain", EMA: "moving average", MEAN: "mean of checkpoints"}
"""Kinds of weights, as the names of metrics (``val_ema/loss``) and as people name them."""


@dataclass(slots=True)
class Progress:
    """Counters of a run: with weights, optimiser, schedule and scaler all the state there is.

    Attributes:
        step: optimiser steps taken, skipped ones included.
        epoch: epochs finished.
        data_epoch, data_batch: position of the next micro-batch in the stream of data.
        best: the monitored metric of the best epoch; None before the first.
        waited: measured epochs since then.
        skipped: steps without a finite loss or gradient, or without any readable audio.
        nonfinite: steps in a row, up to now, without a finite loss or gradient.
        seconds: of training time so far.
        sums: of the steps, see :class:`deepspeech2.trainer.reporter.Reporter`.
        metrics: of the last epoch, by their logged names; a checkpoint has them beside the rest.
    """

    step: int = 0
    epoch: int = 0
    data_epoch: int = 0
    data_batch: int = 0
    best: float | None = None
    waited: int = 0
    skipped: int = 0
    nonfinite: int = 0
    seconds: float = 0.0
    sums: tuple[float, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def position(self) -> Position:
        return Position(self.data_epoch, self.data_batch)

    def advance(self, taken: Position) -> None:
        """Count a step whose last micro-batch was at ``taken``."""
        self.step += 1
        self.data_epoch, self.data_batch = taken.epoch, taken.batch + 1

    def state(self) -> dict[str, Any]:
        """Return the counters alone, without the metrics."""
        state = asdict(self)
        del state["metrics"]
        return state

    @classmethod
    def from_state(cls, state: Mapping[str, Any], metrics: Mapping[str, float]) -> Progress:
        """Return the progress in a checkpoint.

        Raises:
            CheckpointError: a counter is unknown, missing or impossible.
        """
        known = {each.name for each in fields(cls)} - {"metrics"}
        saved = {"sums": (), **state}  # older checkpoints have none
        if set(saved) != known:
            wrong = printable(", ".join(sorted(map(str, known ^ set(saved)))))
            raise CheckpointError(f"the checkpoint's progress does not fit: {wrong}")
        for name, value in saved.items():
            count = isinstance(value, int) and value >= 0
            number = isinstance(value, int | float) and (name == "best" or value >= 0)
            floats = isinstance(value, tuple) and all(isinstance(each, float) for each in value)
            valid = {"best": number or value is None, "seconds": number, "sums": floats}
            if not valid.get(name, count):
                raise CheckpointError(
                    f"the checkpoint's progress cannot have {name}={reprlib.repr(value)}"
                )
        return cls(**saved, metrics=dict(metrics))


@dataclass(frozen=True, slots=True)
class Monitor:
    """Compares epochs by one metric; the best value so far is in the run's :class:`Progress`.

    Attributes:
        metric: logged name, part first: ``val_WER_(Argmax)``; empty when switched off.
        sign: 1 if smaller is better, -1 if larger is.
        patience: measured epochs without an improvement that end the run; None: endless.
    """

    metric: str
    sign: int
    patience: int | None

    @classmethod
    def parse(cls, text: str, patience: int | None) -> Monitor:
        """Read ``min NAME``, ``max NAME`` or ``off``.

        Raises:
            ConfigError: anything else.
        """
        metric, sign = parse_monitor(text)
        return cls(metric, sign, patience if metric else None)

    def exhausted(self, progress: Progress) -> bool:
        """Whether the run has waited long enough for a better epoch."""
        return self.patience is not None and progress.waited >= self.patience

    def update(self, progress: Progress, values: Mapping[str, float], kind: str = "") -> bool:
        """Count an epoch's metrics in ``progress``, return whether they are the best.

        A metric that this epoch did not measure changes nothing. Switched off, every epoch
        is better than the one before.
        """
        if not self.metric:
            return True
        value = self.value(values, kind)
        if value is None:
            return False
        better = self.improves(progress, values, kind)
        if better:
            progress.best = value
        progress.waited = 0 if better else progress.waited + 1
        return better

    def improves(self, progress: Progress, values: Mapping[str, float], kind: str = "") -> bool:
        """Whether these metrics are better than the best so far."""
        cost = self.cost(values, kind)
        return math.isfinite(cost) and (progress.best is None or cost < self.sign * progress.best)

    def best_kind(self, scores: Mapping[str, Mapping[str, float]]) -> str:
        """The kind of weights with the best metric; the first if none has one."""
        return min(scores, key=lambda kind: self.cost(scores[kind], kind))

    def cost(self, values: Mapping[str, float], kind: str = "") -> float:
        """The metric, negated if more of it is better; infinite if it is absent or not finite."""
        value = self.value(values, kind)
        return math.inf if value is None or not math.isfinite(value) else self.sign * value

    def value(self, values: Mapping[str, float], kind: str = "") -> float | None:
        """The metric of weights of ``kind``, whose names have the kind before the slash."""
        named = {key.replace(f"{kind}/", "/").replace("/", "_"): v for key, v in values.items()}
        return named.get(self.metric)
