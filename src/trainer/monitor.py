"""Which epoch is the best, and when to stop."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from src.errors import ConfigError


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
        if text == "off":
            return cls("", 1, None)
        words = text.split()
        if len(words) != 2 or words[0] not in ("min", "max"):
            raise ConfigError(
                f"trainer.monitor must be 'min METRIC', 'max METRIC' or 'off', but is {text!r}"
            )
        return cls(words[1], 1 if words[0] == "min" else -1, patience)

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
        named = {name.replace("/", "_"): value for name, value in values.items()}
        value = named.get(self.metric)
        if value is None:
            return False
        better = math.isfinite(value) and (
            self.best is None or self.sign * value < self.sign * self.best
        )
        if better:
            self.best = value
        self.waited = 0 if better else self.waited + 1
        return better
