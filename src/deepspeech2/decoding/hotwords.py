"""Phrases that get a boost: an automaton that notices them while the text grows.

A. Aho, M. Corasick, Efficient string matching, 1975. A phrase counts between spaces, and not as
part of a longer word; in an alphabet without a space it counts anywhere. While it is being
spelled it has a share of its boost, which it loses again if the text goes on otherwise.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepspeech2.decoding.kernels.prefixes import HOT_STATE, Fusion
from deepspeech2.errors import ConfigError
from deepspeech2.settings import is_number
from deepspeech2.text import Tokenizer

Hotwords = Sequence[str] | Mapping[str, float] | None


class HotPhrases:
    """Normalised phrases and their boosts.

    Args:
        hotwords: phrases, or phrases with boosts of their own; None: none.
        weight: nats for each phrase without one.
        text_encoder: the alphabet.

    Attributes:
        boosts: nats by normalised phrase.
        settings: the first two arguments, as plain values.

    Raises:
        ConfigError: a phrase is empty or contains a character outside the alphabet, or a boost is
            not a number of at least 0.
    """

    def __init__(self, hotwords: Hotwords, weight: float, text_encoder: Tokenizer) -> None:
        if isinstance(hotwords, str):
            raise ConfigError(f"hotwords must be a list of phrases, but is {hotwords!r}")
        given = dict(hotwords) if isinstance(hotwords, Mapping) else list(hotwords or ())
        self.settings: dict[str, Any] = {"hotwords": given, "hotword_weight": weight}
        self.boosts: dict[str, float] = {}
        self._text_encoder = text_encoder
        for phrase in given:
            boost = given[phrase] if isinstance(given, dict) else None
            value = weight if boost is None else boost
            if not is_number(value) or not 0 <= value < 1e6:
                raise ConfigError(
                    f"the boost of hotword {phrase!r} must be 0 or more, but is {value}"
                )
            self.boosts[self._normalized(phrase)] = float(value)

    def _normalized(self, phrase: str) -> str:
        text = self._text_encoder.normalize(str(phrase))
        unknown = self._text_encoder.unknown(text)
        if text and not unknown:
            return text
        reason = f"contains {min(unknown)!r}, which the alphabet lacks" if unknown else "is empty"
        raise ConfigError(f"hotwords must be phrases of the alphabet, but {phrase!r} {reason}")

    def score(self, text: str) -> float:
        """Nats for the phrases in a normalised text."""
        spaced = self._text_encoder.spaced
        return sum(
            boost * _occurrences(phrase, text, spaced=spaced)
            for phrase, boost in self.boosts.items()
        )

    def onto(self, fusion: Fusion) -> Fusion:
        """``fusion`` with these phrases."""
        if not self.boosts:
            return fusion
        states, after, start = _automaton(self.boosts, self._text_encoder)
        return fusion._replace(
            has_hot=True,
            hot=states,
            hot_after=after,
            hot_start=start,
            at_most=fusion.at_most + _gains(fusion, states, after),
        )


def fired(text: str, hotwords: Sequence[str], text_encoder: Tokenizer) -> tuple[str, ...]:
    """Return those of the normalised ``hotwords`` that occur in ``text``."""
    spaced = text_encoder.spaced
    return tuple(phrase for phrase in hotwords if _occurrences(phrase, text, spaced=spaced))


def _occurrences(phrase: str, text: str, *, spaced: bool) -> int:
    """How often the normalised ``phrase`` occurs in ``text``, overlaps included.

    Args:
        spaced: whether the alphabet has a space; the phrase then counts as whole words alone.
    """
    border = " " if spaced else ""
    pattern = re.escape(f"{border}{phrase}{border}")
    return len(re.findall(f"(?={pattern})", f"{border}{text}{border}"))


def _automaton(
    boosts: Mapping[str, float], text_encoder: Tokenizer
) -> tuple[NDArray[np.void], NDArray[np.int32], int]:
    """States, transitions and the state at the beginning of an utterance.

    It reads characters, so that a phrase is noticed however it is divided into tokens.

    Args:
        boosts: normalised phrases and their nats.
        text_encoder: the alphabet.

    Returns:
        (S,) of ``HOT_STATE``; (S, C) int32, the state after each character; the first state.
    """
    places = {character: place for place, character in enumerate(text_encoder.characters)}
    border = [places[" "]] if text_encoder.spaced else []
    children: list[dict[int, int]] = [{}]
    credit, boost = [0.0], [0.0]
    for phrase, value in boosts.items():
        pattern = border + [places[each] for each in text_encoder.spelled(phrase)] + border
        state = 0
        for length, letter in enumerate(pattern, start=1):
            if letter not in children[state]:
                children[state][letter] = len(children)
                children.append({})
                credit.append(0.0)
                boost.append(0.0)
            state = children[state][letter]
            if length < len(pattern):
                share = (length - len(border)) / (len(pattern) - len(border))
                credit[state] = max(credit[state], value * share)
        boost[state] += value
    after = _transitions(children, credit, boost, len(places))
    states = np.zeros(len(children), dtype=HOT_STATE)
    states["credit"], states["boost"] = credit, boost
    return states, after, int(after[0, border[0]]) if border else 0


def _gains(
    fusion: Fusion, states: NDArray[np.void], after: NDArray[np.int32]
) -> NDArray[np.float64]:
    """(V,) what each token can gain at most: nothing for those of no phrase."""
    most = np.zeros(len(fusion.bounds) - 1)
    for token, (start, end) in enumerate(pairwise(fusion.bounds.tolist())):
        letters = fusion.letters[start:end].tolist()
        # a space after a space does not count
        for spelled in (letters, letters[1:]) if letters[:1] == [fusion.space] else (letters,):
            state, gain = np.arange(len(after)), -states["credit"]
            for letter in spelled:
                state = after[state, letter]
                gain = gain + states["boost"][state]
            most[token] = max(most[token], (gain + states["credit"][state]).max())
    return most


def _transitions(
    children: list[dict[int, int]], credit: list[float], boost: list[float], n_letters: int
) -> NDArray[np.int32]:
    """Where each character leads; what ends or goes on in a shorter match counts as well."""
    after = np.zeros((len(children), n_letters), dtype=np.int32)
    shorter = [0] * len(children)
    queue = deque([0])
    while queue:
        state = queue.popleft()
        credit[state] = max(credit[state], credit[shorter[state]])
        boost[state] += boost[shorter[state]] if state else 0.0
        after[state] = after[shorter[state]] if state else 0
        for letter, child in children[state].items():
            shorter[child] = int(after[shorter[state], letter]) if state else 0
            after[state, letter] = child
            queue.append(child)
    return after
