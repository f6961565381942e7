"""How often something is done: every so many steps, or every so many minutes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from deepspeech2.settings.training import parse_interval


@dataclass(slots=True)
class Interval:
    """Attributes: ``steps`` or ``seconds`` between two times, or neither for never."""

    steps: int | None = None
    seconds: float | None = None
    _last: float = field(default_factory=time.monotonic)

    @classmethod
    def parse(cls, value: int | str | None, key: str) -> Interval:
        """Read a number of steps, or minutes as in ``10 min``.

        Args:
            key: of the config, for messages.

        Raises:
            ConfigError: it is neither, or not positive.
        """
        return cls(*parse_interval(value, key))

    def due(self, step: int) -> bool:
        """Whether it is time, after ``step`` steps."""
        if self.steps is not None:
            return step % self.steps == 0
        return self.seconds is not None and time.monotonic() - self._last >= self.seconds

    def done(self) -> None:
        """It was done just now."""
        self._last = time.monotonic()
