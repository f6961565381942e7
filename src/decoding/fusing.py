"""Language model and hot words made ready for the search."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from src.decoding.host_search import no_fusion
from src.decoding.hotwords import Hotwords, automaton, phrases
from src.decoding.language_model import FusedModel
from src.kernels.fusion import Fusion
from src.text import TextEncoder


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
        given = dict(hotwords) if isinstance(hotwords, Mapping) else list(hotwords or ())
        self.settings: dict[str, Any] = {"hotwords": given, "hotword_weight": weight}

    def score(self, text: str) -> float:
        """Nats for the phrases in a normalised text."""
        return sum(
            boost * len(re.findall(f"(?= {re.escape(phrase)} )", f" {text} "))
            for phrase, boost in self.boosts.items()
        )


def fuse(text_encoder: TextEncoder, hot: Hot, model: FusedModel | None = None) -> Fusion:
    """What is added to the scores of prefixes."""
    fusion = no_fusion()
    at_most = 0.0
    if model is not None:
        fusion = model.onto(fusion)
        at_most += fusion.at_most
    if hot.boosts:
        states, after, start = automaton(hot.boosts, text_encoder)
        at_most += float(states["boost"].max() + states["credit"].max())
        fusion = fusion._replace(has_hot=True, hot=states, hot_after=after, hot_start=start)
    return fusion._replace(
        at_most=at_most if math.isfinite(at_most) else math.inf, space=text_encoder.space or 0
    )
