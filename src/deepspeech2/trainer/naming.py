"""Kinds of weights, and metrics as people and files name them."""

from __future__ import annotations

from collections.abc import Mapping

EMA = "_ema"
MEAN = "_mean"
NAMES = {"": "plain", EMA: "moving average", MEAN: "mean of checkpoints"}
"""Kinds of weights, as metrics and as people name them."""


def readable(values: Mapping[str, float]) -> str:
    """``val/WER_(Argmax) 12.34 %  val/loss 0.321``"""
    return "  ".join(
        f"{name} {100 * value:.2f} %" if "ER_(" in name else f"{name} {value:.3f}"
        for name, value in values.items()
    )


def plain_names(values: Mapping[str, float], kind: str) -> dict[str, float]:
    """Metrics of a kind of weights under the names that those of the plain ones have."""
    return {
        name.replace(f"{kind}/", "/") if kind else name: value for name, value in values.items()
    }
