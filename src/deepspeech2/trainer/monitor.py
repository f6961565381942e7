"""Which epoch is the best, and when to stop."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from deepspeech2.settings.training import parse_monitor


@dataclass(slots=True)
class Monitor:
    """Watches one metric.

    Attributes:
        metric: logged name, part first: ``val_WER_(Argmax)``; empty when switched off.
        sign: 1 if smaller is better, -1 if larger is.
        patience: values without an improvement before ``exhausted``; None: endless.
        best: the best value so far; None before the first.
        waited: values since then.
    """

    metric: str
    sign: int
    patience: int | None
    best: float | None = None
    waited: int = 0

    @classmethod
    def parse(cls, text: str, patience: int | None) -> Monitor:
        """Read ``min NAME``, ``max NAME`` or ``off``.

        Raises:
            ConfigError: anything else.
        """
        metric, sign = parse_monitor(text)
        return cls(metric, sign, patience if metric else None)

    @property
    def exhausted(self) -> bool:
        return self.patience is not None and self.waited >= self.patience

    def update(self, values: Mapping[str, float]) -> bool:
        """Take an epoch's metrics (``val/WER_(Argmax)``); says whether they are the best.

        A metric that this epoch did not measure changes nothing. Switched off, every epoch
        is better than the one before.
        """
        if not self.metric:
            return True
        value = self._value(values)
        if value is None:
            return False
        better = self.improves(values)
        if better:
            self.best = value
        self.waited = 0 if better else self.waited + 1
        return better

    def improves(self, values: Mapping[str, float]) -> bool:
        """Whether these metrics are better than the best so far."""
        cost = self.cost(values)
        return math.isfinite(cost) and (self.best is None or cost < self.sign * self.best)

    def favourite(self, candidates: Mapping[str, Mapping[str, float]]) -> str:
        """The name of the candidate with the best metric; the first if none has one."""
        return min(candidates, key=lambda name: self.cost(candidates[name]))

    def cost(self, values: Mapping[str, float]) -> float:
        """The metric, negated if more of it is better; infinite if it is absent or not finite."""
        value = self._value(values)
        return math.inf if value is None or not math.isfinite(value) else self.sign * value

    def _value(self, values: Mapping[str, float]) -> float | None:
        named = {name.replace("/", "_"): value for name, value in values.items()}
        return named.get(self.metric)
