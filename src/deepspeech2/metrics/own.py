"""Metrics of one's own: the config group ``metrics``."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

from deepspeech2.escaping import first_line

log = logging.getLogger(__name__)


class Metric(Protocol):
    """A number over all utterances of a pass that have a reference: a function, or an object."""

    def __call__(self, references: Sequence[str], hypotheses: Sequence[str]) -> float:
        """Compare normalised references (N) with the best hypothesis (N) of each."""
        ...


def measure(
    metrics: Mapping[str, Metric], pairs: Sequence[tuple[str, str]], decoder: str
) -> dict[str, float]:
    """Return each metric of (reference, hypothesis) pairs by its name.

    One that raises an error or returns no number is left out and logged: no mistake in a metric is
    a reason to end a run that has been training for days.

    Args:
        decoder: whose hypotheses they are, for messages.
    """
    values: dict[str, float] = {}
    if not pairs:
        return values
    references, hypotheses = ([pair[side] for pair in pairs] for side in (0, 1))
    for name, metric in metrics.items():
        try:
            values[name] = float(metric(references, hypotheses))
        except Exception as error:  # whatever its code raises
            reason = f"{type(error).__name__}: {first_line(error)}"
            log.error("metrics.%s of %s is left out: %s", name, decoder, reason)
    return values
