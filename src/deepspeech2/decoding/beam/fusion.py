"""Language model and hot words made ready for the search."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from deepspeech2.decoding.beam.cpu import no_fusion
from deepspeech2.decoding.hotwords import Hotwords, automaton, most_gained, occurrences, phrases
from deepspeech2.decoding.kernels.lm import Fusion
from deepspeech2.decoding.language_model import FusedModel
from deepspeech2.text import TextEncoder

_ROUNDING = 1e-6  # nats, of scores below a billion


class Hot:
    """Hot phrases as a user gives them.

    Args:
        hotwords: phrases, or phrases with boosts of their own.
        weight: nats for each phrase without one.
        text_encoder: knows case and alphabet.

    Raises:
        ConfigError: a phrase or a boost cannot be.
    """

    def __init__(self, hotwords: Hotwords, weight: float, text_encoder: TextEncoder) -> None:
        self.boosts = phrases(hotwords, weight, text_encoder)
        self._spaced = text_encoder.space is not None
        given = dict(hotwords) if isinstance(hotwords, Mapping) else list(hotwords or ())
        self.settings: dict[str, Any] = {"hotwords": given, "hotword_weight": weight}

    def score(self, text: str) -> float:
        """Nats for the phrases in a normalised text."""
        return sum(
            boost * occurrences(phrase, text, spaced=self._spaced)
            for phrase, boost in self.boosts.items()
        )


def fuse(text_encoder: TextEncoder, hot: Hot, model: FusedModel | None = None) -> Fusion:
    """What is added to the scores of prefixes."""
    letters = np.array([0, *map(ord, text_encoder.alphabet)], dtype=np.int32)
    fusion = no_fusion(text_encoder.n_tokens)
    fusion = fusion._replace(letters=letters, space=text_encoder.space or 0)
    if model is not None:
        fusion = model.onto(fusion)
    at_most = fusion.at_most
    if hot.boosts:
        states, after, start = automaton(hot.boosts, text_encoder)
        at_most = at_most + most_gained(states, after)
        fusion = fusion._replace(has_hot=True, hot=states, hot_after=after, hot_start=start)
    # sums of the same numbers in another order may be larger by a rounding
    at_most = np.where(at_most > 0, at_most + _ROUNDING, at_most)
    return fusion._replace(at_most=np.where(np.isfinite(at_most), at_most, math.inf))
