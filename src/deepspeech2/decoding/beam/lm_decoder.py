"""The prefix beam search with a language model of words."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from deepspeech2.decoding.beam.cpu import SearchOptions, search_batch
from deepspeech2.decoding.beam.fusion import Hot, fuse
from deepspeech2.decoding.decoder import check_tokens
from deepspeech2.decoding.hotwords import Hotwords
from deepspeech2.decoding.language_model import FusedModel, load_model
from deepspeech2.decoding.prior import TokenPrior
from deepspeech2.errors import ConfigError
from deepspeech2.paths import resolve
from deepspeech2.text import TextEncoder
from deepspeech2.text.ngram.official import locate
from deepspeech2.types import Hypothesis, Padded


class LanguageModelDecoder:
    """CTC prefix beam search with shallow fusion of a word n-gram model.

    The score of a hypothesis is ln P(labels | audio) + ``lm_weight`` ln P(words) + ``word_score``
    for each word + ``unknown_score`` for each word that the model or the lexicon lacks
    (D. Amodei et al., Deep Speech 2, 2016, section 3.8), with P(labels | audio) of what
    :meth:`acoustic` leaves of the network's output. An unfinished word counts as the best that can
    come of it, so that the beam is not surprised at the space.

    Emissions on a GPU are brought to the CPU, where the search runs in machine code.

    Args:
        text_encoder: the alphabet, which must have a space.
        lm: an ARPA file, also ``.gz`` or ``.xz``, relative to the repository's root; or one of
            LibriSpeech's models by name, see :mod:`deepspeech2.text.ngram.official`.
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
        text_encoder: TextEncoder,
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
            beam_size, nbest, beam_size_token, beam_threshold, blank_threshold, threads
        )
        self.prior = TokenPrior(prior, prior_weight, text_encoder.n_tokens)
        self._hot = Hot(hotwords, hotword_weight, text_encoder)
        self._files = {"lm": str(lm), "lexicon": lexicon}
        model, spellings = load_model(
            locate(lm),
            text_encoder,
            None if lexicon is None else resolve(lexicon),
            hot=[text_encoder.spelled(w) for phrase in self._hot.boosts for w in phrase.split()],
        )
        self.fused = FusedModel(model, spellings, lm_weight, word_score, unknown_score)
        self._fusion = fuse(text_encoder, self._hot, self.fused)

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
        """The hot phrases, normalised."""
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
        other._fusion = fuse(self.text_encoder, self._hot, other.fused)
        return other

    def knows(self, word: str) -> bool:
        """Whether the word is one of the lexicon, or of the model."""
        return word in self.fused.spellings

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
        heard = self.acoustic(log_probs)
        return search_batch(heard, self.options, self._fusion, self.text_encoder)
