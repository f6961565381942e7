"""The prefix beam search as a decoder, without and with a language model of words."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from deepspeech2.decoding.beam.cpu import SearchOptions, search_batch
from deepspeech2.decoding.beam.gpu import search_on_device
from deepspeech2.decoding.decoder import check_tokens
from deepspeech2.decoding.hotwords import HotPhrases, Hotwords
from deepspeech2.decoding.kernels.prefixes import NONE, Fusion, no_fusion
from deepspeech2.decoding.language_model import FusedModel, load_model
from deepspeech2.decoding.prior import TokenPrior
from deepspeech2.errors import ConfigError
from deepspeech2.text import Tokenizer
from deepspeech2.types import Hypothesis, Padded

_ROUNDING = 1e-6  # nats, of scores below a billion


class BeamSearchDecoder:
    """CTC prefix beam search: sums over all alignments of a transcript.

    An utterance gets the same hypotheses alone and in a batch. The score is the log-probability
    of the labels, summed over the alignments that stayed in the beam, and the boosts of hot
    words. A label is emitted in the first frame of its run on the best path.

    Emissions on a CUDA device are searched there, all utterances and beams at once; with hot
    words, and those on the CPU, in machine code on the CPU.

    Args:
        text_encoder: the alphabet.
        beam_size, nbest, beam_size_token, beam_threshold, blank_threshold, threads: see
            :class:`deepspeech2.decoding.beam.cpu.SearchOptions`.
        hotwords: phrases that get a boost, or phrases with boosts of their own.
        hotword_weight: nats for each hot phrase.

    Raises:
        ConfigError: an option is out of range.
    """

    name = "BeamSearch"

    def __init__(
        self,
        text_encoder: Tokenizer,
        *,
        beam_size: int = 10,
        nbest: int = 1,
        beam_size_token: int | None = None,
        beam_threshold: float | None = None,
        blank_threshold: float | None = None,
        threads: int | None = None,
        hotwords: Hotwords = None,
        hotword_weight: float = 10.0,
    ) -> None:
        self.text_encoder = text_encoder
        self.options = SearchOptions(
            beam_size=beam_size, nbest=nbest, beam_size_token=beam_size_token,
            beam_threshold=beam_threshold, blank_threshold=blank_threshold, threads=threads,
        )  # fmt: skip
        self._hot = HotPhrases(hotwords, hotword_weight, text_encoder)
        self._fusion = _fuse(text_encoder, self._hot)

    @property
    def settings(self) -> dict[str, Any]:
        return {**self.options.settings, **self._hot.settings}

    @property
    def hotwords(self) -> tuple[str, ...]:
        return tuple(self._hot.boosts)

    def acoustic(self, log_probs: Padded) -> Padded:
        return log_probs

    def knows(self, word: str) -> bool:
        return not self.text_encoder.unknown(word)

    def language_score(self, text: str) -> float:
        return self._hot.score(text)

    @torch.inference_mode()
    def __call__(self, log_probs: Padded) -> list[list[Hypothesis]]:
        """Up to ``nbest`` hypotheses for each utterance of (B, T, V), best first.

        Raises:
            ValueError: V is not the number of tokens.
        """
        check_tokens(log_probs, self.text_encoder)
        if log_probs.data.is_cuda and not self._fusion.has_hot:
            return search_on_device(log_probs, self.options, self.text_encoder)
        return search_batch(log_probs, self.options, self._fusion, self.text_encoder)


class LanguageModelDecoder:
    """CTC prefix beam search with shallow fusion of a word n-gram model.

    The score of a hypothesis is ln P(labels | audio) + ``lm_weight`` ln P(words) + ``word_score``
    for each word + ``unknown_score`` for each word that the model or the lexicon lacks
    (D. Amodei et al., Deep Speech 2, 2016, section 3.8), with P(labels | audio) of what
    :meth:`acoustic` leaves of the network's output. An unfinished word counts as the best that can
    come of it, so that the beam is not surprised at the space.

    Emissions on a GPU are brought to the CPU, where the search runs in machine code.

    Args:
        text_encoder: its tokens must have spaces.
        lm: an ARPA file, also ``.gz`` or ``.xz``, relative to the repository's root; or one of
            LibriSpeech's models by name, see :func:`deepspeech2.decoding.language_model.locate`.
        lm_weight: of the model's natural logarithms.
        word_score: nats for each word; positive for more and shorter words.
        unknown_score: nats for each word that may not be recognised otherwise, being neither the
            lexicon's nor, without one, the model's, besides what the model gives ``<unk>``; None
            forbids these. A word of the lexicon or of a hot phrase that the model lacks counts as
            ``<unk>`` alone.
        lexicon: a file with one word a line; None: the words of the model.
        prior, prior_weight: how often the network emits each token, and the power of that by
            which its output is divided, see :class:`deepspeech2.decoding.prior.TokenPrior`.
        hotwords, hotword_weight: see :class:`deepspeech2.decoding.BeamSearchDecoder`.
        beam_size, nbest, beam_size_token, beam_threshold, blank_threshold, threads: see
            :class:`deepspeech2.decoding.beam.cpu.SearchOptions`.

    Raises:
        ConfigError: an option is out of range, or model, alphabet and lexicon do not fit.
        ManifestError: a file is missing or malformed.
    """

    name = "BeamSearchLM"

    def __init__(
        self,
        text_encoder: Tokenizer,
        *,
        lm: str,
        lm_weight: float = 0.5,
        word_score: float = 1.0,
        unknown_score: float | None = -10.0,
        lexicon: str | None = None,
        prior: Sequence[float] | None = None,
        prior_weight: float = 0.0,
        beam_size: int = 100,
        nbest: int = 1,
        beam_size_token: int | None = None,
        beam_threshold: float | None = 20.0,
        blank_threshold: float | None = None,
        threads: int | None = None,
        hotwords: Hotwords = None,
        hotword_weight: float = 10.0,
    ) -> None:
        if not lm:
            raise ConfigError("decoder.lm must name an ARPA file, but is empty")
        if not 0 <= lm_weight < 100:
            raise ConfigError(f"lm_weight must be 0 or more, but is {lm_weight}")
        self.text_encoder = text_encoder
        self.options = SearchOptions(
            beam_size=beam_size, nbest=nbest, beam_size_token=beam_size_token,
            beam_threshold=beam_threshold, blank_threshold=blank_threshold, threads=threads,
        )  # fmt: skip
        self.prior = TokenPrior(prior, prior_weight, text_encoder.n_tokens)
        self._hot = HotPhrases(hotwords, hotword_weight, text_encoder)
        self._files = {"lm": str(lm), "lexicon": lexicon}
        model, spellings = load_model(
            lm,
            text_encoder,
            lexicon,
            hot=[text_encoder.spelled(w) for phrase in self._hot.boosts for w in phrase.split()],
        )
        self.fused = FusedModel(model, spellings, lm_weight, word_score, unknown_score)
        self._fusion = _fuse(text_encoder, self._hot, self.fused)

    @property
    def settings(self) -> dict[str, Any]:
        return {
            **self._files,
            "lm_weight": self.fused.weight,
            "word_score": self.fused.word_score,
            "unknown_score": self.fused.unknown_score,
            "prior": self.prior.probabilities,
            "prior_weight": self.prior.weight,
            **self.options.settings,
            **self._hot.settings,
        }

    @property
    def hotwords(self) -> tuple[str, ...]:
        return tuple(self._hot.boosts)

    def reweighed(
        self,
        *,
        lm_weight: float,
        word_score: float,
        unknown_score: float | None,
        prior_weight: float,
        beam_size: int,
        nbest: int,
    ) -> LanguageModelDecoder:
        """A decoder with other weights that shares this one's model and prior."""
        other = copy.copy(self)
        other.prior = TokenPrior(self.prior.probabilities, prior_weight, self.text_encoder.n_tokens)
        other.options = replace(self.options, beam_size=beam_size, nbest=min(nbest, beam_size))
        other.fused = replace(
            self.fused, weight=lm_weight, word_score=word_score, unknown_score=unknown_score
        )
        other._fusion = _fuse(self.text_encoder, self._hot, other.fused)
        return other

    def knows(self, word: str) -> bool:
        """Whether the word is one of the lexicon, or of the model."""
        return word in self.fused.spellings.ids

    def with_prior(self, probabilities: Sequence[float]) -> LanguageModelDecoder:
        """A decoder with another prior that shares this one's model and weights."""
        other = copy.copy(self)
        other.prior = TokenPrior(probabilities, self.prior.weight, self.text_encoder.n_tokens)
        return other

    def acoustic(self, log_probs: Padded) -> Padded:
        return self.prior.off(log_probs)

    def language_score(self, text: str) -> float:
        """``lm_weight`` ln P(words) and what words, unknown words and hot phrases count."""
        return self.fused.score(self.text_encoder.spelled(text)) + self._hot.score(text)

    @torch.inference_mode()
    def __call__(self, log_probs: Padded) -> list[list[Hypothesis]]:
        """Up to ``nbest`` hypotheses for each utterance of (B, T, V), best first.

        Raises:
            ValueError: V is not the number of tokens.
        """
        check_tokens(log_probs, self.text_encoder)
        emissions = self.acoustic(log_probs)
        return search_batch(emissions, self.options, self._fusion, self.text_encoder)


def _fuse(text_encoder: Tokenizer, hot: HotPhrases, model: FusedModel | None = None) -> Fusion:
    """What language model and hot phrases add to the scores of prefixes."""
    characters = text_encoder.characters
    places = {character: place for place, character in enumerate(characters)}
    fusion = no_fusion(text_encoder.n_tokens)._replace(
        letters=np.array([places[c] for c in "".join(text_encoder.tokens)], dtype=np.int32),
        bounds=np.cumsum([0, *map(len, text_encoder.tokens)], dtype=np.int32),
        codes=np.array([ord(character) for character in characters], dtype=np.int32),
        space=places.get(" ", NONE),
    )
    if model is not None:
        fusion = model.onto(fusion)
    fusion = hot.onto(fusion)
    # sums of the same numbers in another order may be larger by a rounding
    at_most = np.where(fusion.at_most > 0, fusion.at_most + _ROUNDING, fusion.at_most)
    return fusion._replace(at_most=np.where(np.isfinite(at_most), at_most, math.inf))
