"""The prefix beam search as a decoder."""

from __future__ import annotations

import torch
from torch import Tensor

from src.decoding.base import check_tokens, make_hypothesis
from src.decoding.frames import BLANK, Frames, prepare
from src.decoding.prefix_search import prefix_beam_search
from src.decoding.viterbi import emission_frames
from src.errors import ConfigError
from src.text import TextEncoder
from src.types import Hypothesis, Padded


class BeamSearchDecoder:
    """CTC prefix beam search: sums over all alignments of a transcript.

    An utterance gets the same hypotheses alone and in a batch. The score is the log-probability
    of the labels, summed over the alignments that stayed in the beam. A label is emitted in the
    first frame of its run on the best path.

    Args:
        text_encoder: the alphabet.
        beam_size: prefixes to keep in each frame.
        nbest: hypotheses to return, at most ``beam_size``.
        beam_size_token: consider only so many best labels in a frame; None: all.
        beam_threshold: drop prefixes that are worse than the best by more than this many nats;
            None: none.
        blank_threshold: take frames whose blank is more probable than this as certain blanks,
            and search only the others; None: search all.

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
    ) -> None:
        if beam_size < 1:
            raise ConfigError(f"beam_size must be at least 1, but is {beam_size}")
        if not 1 <= nbest <= beam_size:
            raise ConfigError(f"nbest must be 1 to beam_size ({beam_size}), but is {nbest}")
        if beam_size_token is not None and beam_size_token < 1:
            raise ConfigError(f"beam_size_token must be at least 1, but is {beam_size_token}")
        if beam_threshold is not None and not beam_threshold > 0:
            raise ConfigError(f"beam_threshold must be positive, but is {beam_threshold}")
        if blank_threshold is not None and not 0 < blank_threshold <= 1:
            raise ConfigError(f"blank_threshold must be in (0, 1], but is {blank_threshold}")
        self.text_encoder = text_encoder
        self.beam_size = beam_size
        self.nbest = nbest
        self.beam_size_token = beam_size_token
        self.beam_threshold = beam_threshold
        self.blank_threshold = blank_threshold

    @property
    def settings(self) -> dict[str, int | float | None]:
        return {
            "beam_size": self.beam_size,
            "nbest": self.nbest,
            "beam_size_token": self.beam_size_token,
            "beam_threshold": self.beam_threshold,
            "blank_threshold": self.blank_threshold,
        }

    @torch.inference_mode()
    def __call__(self, log_probs: Padded) -> list[list[Hypothesis]]:
        """Up to ``nbest`` hypotheses for each utterance of (B, T, V), best first.

        Raises:
            ValueError: V is not the number of tokens.
        """
        check_tokens(log_probs, self.text_encoder)
        frames = prepare(
            log_probs,
            beam_size_token=self.beam_size_token,
            blank_threshold=self.blank_threshold,
        )
        scores, labels = prefix_beam_search(
            frames.data, beam_size=self.beam_size, beam_threshold=self.beam_threshold
        )
        scores = (scores[:, : self.nbest] + frames.skipped[:, None]).cpu()
        labels = labels[:, : self.nbest].cpu()
        ranks = [self._rank(frames, scores[:, n], labels[:, n]) for n in range(self.nbest)]
        return [
            # The first always stands; beams that never lived are no hypotheses.
            [first, *(other for other in others if other.score > -torch.inf)]
            for first, *others in zip(*ranks, strict=True)
        ]

    def _rank(self, frames: Frames, scores: Tensor, labels: Tensor) -> list[Hypothesis]:
        """The hypotheses of one rank: scores (B,), labels (B, T) with blanks, on the host."""
        alive = scores > -torch.inf
        rows = [
            row[row != BLANK] if lives else row[:0]
            for row, lives in zip(labels, alive, strict=True)
        ]
        padded = Padded.stack(rows) if rows else Padded(labels, labels.new_zeros(0))
        padded = padded.to(frames.data.device)
        emitted = emission_frames(frames.data, padded).clamp_(max=max(0, len(frames.data) - 1))
        utterance = torch.arange(len(padded), device=emitted.device)[:, None]
        confidence = frames.data[emitted, utterance, padded.data]
        positions = frames.positions.gather(1, emitted)
        times, values = torch.stack([positions.double(), confidence.double()]).cpu()
        return [
            make_hypothesis(
                self.text_encoder,
                float(score),
                row.tolist(),
                when[: len(row)].long().tolist(),
                sure[: len(row)].tolist(),
            )
            for score, row, when, sure in zip(scores, rows, times, values, strict=True)
        ]
