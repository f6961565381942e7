"""Checks of constructor arguments; each names the argument, its value and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Sized

from deepspeech2.errors import ConfigError


def require(condition: bool, name: str, value: object, allowed: str) -> None:
    """Raise ConfigError "``name`` must be ``allowed``, but is ``value``" unless ``condition``."""
    if not condition:
        raise ConfigError(f"{name} must be {allowed}, but is {value!r}")


def require_positive(name: str, value: float) -> None:
    require(math.isfinite(value) and value > 0, name, value, "positive")


def require_probability(name: str, value: float) -> None:
    require(0 <= value <= 1, name, value, "between 0 and 1")


def require_range(low_name: str, low: float, high_name: str, high: float) -> None:
    """Both are finite and ``low`` is at most ``high``."""
    require(math.isfinite(low), low_name, low, "finite")
    require(math.isfinite(high), high_name, high, "finite")
    require(low <= high, low_name, low, f"at most {high_name} ({high})")


def require_items(name: str, items: Sized) -> None:
    require(len(items) > 0, name, items, "a list that is not empty")
