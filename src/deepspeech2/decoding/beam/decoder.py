"""The prefix beam search as a decoder."""

from __future__ import annotations

from typing import Any

import torch

from deepspeech2.decoding.beam.cpu import SearchOptions, search_batch
from deepspeech2.decoding.beam.fusion import Hot, fuse
from deepspeech2.decoding.beam.gpu import search_on_device
from deepspeech2.decoding.decoder import check_tokens
from deepspeech2.decoding.hotwords import Hotwords
from deepspeech2.text import TextEncoder
from deepspeech2.types import Hypothesis, Padded


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
        text_encoder: TextEncoder,
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
            beam_size, nbest, beam_size_token, beam_threshold, blank_threshold, threads
        )
        self._hot = Hot(hotwords, hotword_weight, text_encoder)
        self._fusion = fuse(text_encoder, self._hot)

    @property
    def settings(self) -> dict[str, Any]:
        return {**self.options.settings, **self._hot.settings}

    @property
    def hotwords(self) -> tuple[str, ...]:
        """The hot phrases, normalised."""
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
