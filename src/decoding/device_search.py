"""The prefix beam search in PyTorch: on a GPU, all utterances and beams of a batch at once."""

from __future__ import annotations

import torch
from torch import Tensor

from src.decoding.base import make_hypothesis
from src.decoding.frames import BLANK, Frames, prepare
from src.decoding.host_search import SearchOptions
from src.decoding.prefix_search import prefix_beam_search
from src.decoding.viterbi import emission_frames
from src.text import TextEncoder
from src.types import Hypothesis, Padded


def search_on_device(
    log_probs: Padded, options: SearchOptions, text_encoder: TextEncoder
) -> list[list[Hypothesis]]:
    """Up to ``nbest`` hypotheses for each utterance of (B, T, V), best first, at least one.

    They are those of :func:`src.decoding.host_search.search_batch` without a fusion.
    """
    frames = prepare(
        log_probs,
        beam_size_token=options.beam_size_token,
        blank_threshold=options.blank_threshold,
    )
    scores, labels = prefix_beam_search(
        frames.data, beam_size=options.beam_size, beam_threshold=options.beam_threshold
    )
    scores = (scores[:, : options.nbest] + frames.skipped[:, None]).cpu()
    labels = labels[:, : options.nbest].cpu()
    ranks = [_rank(frames, scores[:, n], labels[:, n], text_encoder) for n in range(options.nbest)]
    return [
        # The first always stands; beams that never lived are no hypotheses.
        [first, *(other for other in others if other.score > -torch.inf)]
        for first, *others in zip(*ranks, strict=True)
    ]


def _rank(
    frames: Frames, scores: Tensor, labels: Tensor, text_encoder: TextEncoder
) -> list[Hypothesis]:
    """The hypotheses of one rank: scores (B,), labels (B, T) with blanks, on the host."""
    alive = scores > -torch.inf
    rows = [
        row[row != BLANK] if lives else row[:0] for row, lives in zip(labels, alive, strict=True)
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
            text_encoder,
            float(score),
            row.tolist(),
            when[: len(row)].long().tolist(),
            sure[: len(row)].tolist(),
        )
        for score, row, when, sure in zip(scores, rows, times, values, strict=True)
    ]
