"""Best-path decoding: the most probable token of every frame."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from deepspeech2.decoding.decoder import check_tokens, make_hypothesis
from deepspeech2.text import Tokenizer
from deepspeech2.types import Hypothesis, Padded


class GreedyDecoder:
    """Takes each frame's best token, merges repeats, drops blanks.

    A. Graves et al., Connectionist Temporal Classification, ICML 2006, section 3.2 (best path
    decoding). The score is the log-probability of that one path. A label is emitted in the first
    frame of its run.
    """

    name = "Argmax"

    def __init__(self, text_encoder: Tokenizer) -> None:
        self.text_encoder = text_encoder

    @property
    def settings(self) -> dict[str, Any]:
        return {}

    @property
    def hotwords(self) -> tuple[str, ...]:
        return ()

    def acoustic(self, log_probs: Padded) -> Padded:
        return log_probs

    def knows(self, word: str) -> bool:
        return not self.text_encoder.unknown(word)

    def language_score(self, text: str) -> float:
        return 0.0

    @torch.no_grad()
    def __call__(self, log_probs: Padded) -> list[list[Hypothesis]]:
        """One hypothesis for each utterance of (B, T, V).

        Raises:
            ValueError: V is not the number of tokens.
        """
        check_tokens(log_probs, self.text_encoder)
        if log_probs.data.numel() == 0:
            return [[Hypothesis("", 0.0)] for _ in range(len(log_probs))]
        # Scores, tokens and mask are copied to the host together: one synchronisation for a batch.
        values, tokens, emitted = self._best_path(log_probs).cpu()
        return [[self._hypothesis(*row)] for row in zip(values, tokens, emitted, strict=True)]

    def _best_path(self, log_probs: Padded) -> Tensor:
        """(3, B, T): log-probability (0 in the padding), token, 1 where a label is emitted."""
        values, tokens = log_probs.data.max(dim=2)
        mask = log_probs.mask()
        previous = tokens.roll(1, dims=1)
        previous[:, 0] = self.text_encoder.blank
        emitted = mask & (tokens != self.text_encoder.blank) & (tokens != previous)
        # Double represents any token index exactly, and bfloat16 does not.
        return torch.stack([values.double().masked_fill(~mask, 0.0), tokens, emitted])

    def _hypothesis(self, values: Tensor, tokens: Tensor, emitted: Tensor) -> Hypothesis:
        frames = emitted.nonzero().flatten()
        return make_hypothesis(
            self.text_encoder,
            float(values.sum()),
            tokens[frames].long().tolist(),
            frames.tolist(),
            values[frames].tolist(),
        )
