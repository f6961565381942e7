"""The beam searches of flashlight-text: of characters, or of words with a KenLM model."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.flashlight_search import WordSearch, label_search
from deepspeech2.decoding.beam.cpu import describe
from deepspeech2.decoding.decoder import check_tokens, distinct
from deepspeech2.errors import ConfigError
from deepspeech2.text import TextEncoder
from deepspeech2.types import Hypothesis, Padded

NEVER = -1e4
"""Stands for the logarithm of 0: flashlight's sum of two infinite ones is not a number."""

Found = tuple[Sequence[int], float]
"""Labels without blanks, and the score."""


class FlashlightDecoder:
    """Beam search in C++, one utterance after the other on the host.

    J. Kahn et al., Flashlight: Enabling Innovation in Tools for Machine Learning, ICML 2022.
    Without ``lm`` and ``lexicon`` it searches for what
    :class:`deepspeech2.decoding.BeamSearchDecoder` does. Otherwise the transcript consists of
    words of the lexicon, and the score adds ``lm_weight`` times the natural logarithm of the
    language model's probability, with the end of the sentence, and ``word_score`` for each word.
    Flashlight keeps a prefix that ends in a blank and the same one without it as two beams.

    Args:
        text_encoder: the alphabet; spells the words.
        lm: ARPA file, also gzipped, or a binary file of KenLM; None: none.
        lexicon: text file whose lines begin with a word, spelt by its normalised letters; with a
            binary ``lm`` in the case that it uses. None: all words of the ARPA file.
        lm_weight: flashlight's own is for base-10 logarithms, ln 10 times as large.
        word_score: natural logarithm.
        unknown_score: added for letters that begin a word of the lexicon and are none
            themselves; None: only words.
        beam_size: beams to keep in each frame.
        beam_size_token: consider only so many best tokens in a frame; None: all.
        beam_threshold: drop beams that are worse than the best by more than this many nats;
            None: none.
        nbest: hypotheses to return, at most ``beam_size``.

    Raises:
        ConfigError: an option is out of range, a file is missing or unreadable, the alphabet
            can spell no word, or flashlight-text is not installed.
    """

    name = "Flashlight"

    def __init__(
        self,
        text_encoder: TextEncoder,
        *,
        lm: str | None = None,
        lexicon: str | None = None,
        lm_weight: float = 0.5,
        word_score: float = 1.0,
        unknown_score: float | None = None,
        beam_size: int = 100,
        beam_size_token: int | None = None,
        beam_threshold: float | None = 50.0,
        nbest: int = 1,
    ) -> None:
        self._settings: dict[str, Any] = {
            "lm": lm,
            "lexicon": lexicon,
            "lm_weight": lm_weight,
            "word_score": word_score,
            "unknown_score": unknown_score,
            "beam_size": beam_size,
            "beam_size_token": beam_size_token,
            "beam_threshold": beam_threshold,
            "nbest": nbest,
        }
        _check(self._settings)
        self.text_encoder = text_encoder
        self.nbest = nbest
        self._of_words = lm is not None or lexicon is not None
        # The search refers to the language model without owning it:
        # https://github.com/pytorch/audio/issues/3218
        self._words = WordSearch(text_encoder, lm, lexicon) if self._of_words else None
        if self._words is not None:
            self._search = self._words.weighed(self._settings)
        else:
            self._search, self._model = label_search(text_encoder, self._settings)

    def reweighed(self, **changes: Any) -> FlashlightDecoder:
        """A decoder with other weights or another beam that shares this one's model.

        Args:
            changes: any of ``lm_weight``, ``word_score``, ``unknown_score``, ``beam_size``,
                ``beam_size_token``, ``beam_threshold`` and ``nbest``.
        """
        assert self._words is not None, "there is no model to weigh"
        other = copy.copy(self)
        other._settings = self._settings | changes
        _check(other._settings)
        other.nbest = other._settings["nbest"]
        other._search = self._words.weighed(other._settings)
        return other

    @property
    def settings(self) -> dict[str, Any]:
        return dict(self._settings)

    @property
    def hotwords(self) -> tuple[str, ...]:
        return ()

    def acoustic(self, log_probs: Padded) -> Padded:
        return log_probs

    def knows(self, word: str) -> bool:
        return not self.text_encoder.unknown(word)

    def language_score(self, text: str) -> None:
        """Flashlight keeps its scores to itself."""
        return

    @torch.inference_mode()
    def __call__(self, log_probs: Padded) -> list[list[Hypothesis]]:
        """Up to ``nbest`` hypotheses for each utterance of (B, T, V), best first.

        Raises:
            ValueError: V is not the number of tokens.
        """
        check_tokens(log_probs, self.text_encoder)
        return [
            [
                describe(
                    frames := utterance.double().numpy(),
                    np.arange(len(frames)),
                    np.array(labels, dtype=np.int64),
                    score,
                    self.text_encoder,
                )
                for labels, score in self._find(utterance)
            ]
            for utterance in log_probs.to("cpu").unpad()
        ]

    def _find(self, frames: Tensor) -> list[Found]:
        """Distinct labels of (T, V) log-probabilities, best first, at least one."""
        data = frames.float().nan_to_num(nan=NEVER, neginf=NEVER)
        if self._of_words:
            data = torch.cat([data, self._certain_space()])
        data = data.contiguous()
        results = self._search.decode(data.data_ptr(), *data.shape)
        found = (
            (self._labels(result.tokens[1 : len(frames) + 1]), result.score) for result in results
        )
        return list(distinct(self.text_encoder, found, self.nbest)) or [((), -math.inf)]

    def _labels(self, tokens: Sequence[int]) -> tuple[int, ...]:
        """Labels of a path, of which one token stands before the first frame."""
        return tuple(token for token, _ in groupby(tokens) if token != self.text_encoder.blank)

    def _certain_space(self) -> Tensor:
        """A (1, V) frame that ends the last word.

        In the lexicon a space ends every word, but networks seldom emit one at the end. Where any
        beam stands between words at the end, flashlight drops all that stand within one; so
        without this frame the last word would often be lost or misheard as a shorter one.
        """
        frame = torch.full((1, self.text_encoder.n_tokens), NEVER)
        frame[0, self.text_encoder.space] = 0.0
        return frame


def _check(settings: dict[str, Any]) -> None:
    """Raise ConfigError for an option out of range."""
    beam_size, nbest = settings["beam_size"], settings["nbest"]
    if beam_size < 1:
        raise ConfigError(f"beam_size must be at least 1, but is {beam_size}")
    if not 1 <= nbest <= beam_size:
        raise ConfigError(f"nbest must be 1 to beam_size ({beam_size}), but is {nbest}")
    if (limit := settings["beam_size_token"]) is not None and limit < 1:
        raise ConfigError(f"beam_size_token must be at least 1, but is {limit}")
    if (threshold := settings["beam_threshold"]) is not None and not threshold > 0:
        raise ConfigError(f"beam_threshold must be positive, but is {threshold}")
    if (unknown := settings["unknown_score"]) is not None and not math.isfinite(unknown):
        raise ConfigError(f"unknown_score must be finite or null, but is {unknown}")
    for key in ("lm_weight", "word_score"):
        if not math.isfinite(settings[key]):
            raise ConfigError(f"{key} must be finite, but is {settings[key]}")
