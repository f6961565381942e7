"""The prefix beam search in PyTorch: on a GPU, all utterances and beams of a batch at once."""

from __future__ import annotations

import torch
from torch import Tensor

from deepspeech2.decoding.beam.cpu import SearchOptions
from deepspeech2.decoding.beam.frames import BLANK, Frames, prepare
from deepspeech2.decoding.beam.torch_search import prefix_beam_search
from deepspeech2.decoding.beam.viterbi import emission_frames
from deepspeech2.decoding.decoder import distinct, make_hypothesis
from deepspeech2.text import TextEncoder
from deepspeech2.types import Hypothesis, Padded


def search_on_device(
    log_probs: Padded, options: SearchOptions, text_encoder: TextEncoder
) -> list[list[Hypothesis]]:
    """Up to ``nbest`` hypotheses for each utterance of (B, T, V), best first, at least one.

    They are those of :func:`deepspeech2.decoding.beam.cpu.search_batch` without a fusion.
    """
    frames = prepare(
        log_probs,
        beam_size_token=options.beam_size_token,
        blank_threshold=options.blank_threshold,
    )
    scores, labels = prefix_beam_search(
        frames.data, beam_size=options.beam_size, beam_threshold=options.beam_threshold
    )
    count = 1 if options.nbest == 1 else options.beam_size  # many are the same text
    scores = (scores[:, :count] + frames.skipped[:, None]).cpu()
    labels = labels[:, :count].cpu()
    chosen = _distinct(scores, labels, options.nbest, text_encoder)
    n_ranks = max((len(each) for each in chosen), default=1)
    # a beam that never lived fills up the rows with fewer texts
    filled = [each + (n_ranks - len(each)) * [-1] for each in chosen]
    index = torch.tensor(filled, dtype=torch.long).reshape(len(chosen), n_ranks)
    lives = index >= 0
    index = index.clamp_min(0)
    scores = scores.gather(1, index).masked_fill(~lives, -torch.inf)
    labels = labels.gather(1, index[..., None].expand(-1, -1, labels.shape[2]))
    ranks = [_rank(frames, scores[:, n], labels[:, n], text_encoder) for n in range(n_ranks)]
    return [
        # The first always stands; beams that never lived are no hypotheses.
        [first, *(other for other in others if other.score > -torch.inf)]
        for first, *others in zip(*ranks, strict=True)
    ]


def _distinct(
    scores: Tensor, labels: Tensor, nbest: int, text_encoder: TextEncoder
) -> list[list[int]]:
    """For each utterance the beams of its first ``nbest`` texts, at least one: from (B, K) scores
    and (B, K, T) labels with blanks."""
    found = []
    for row, beams in zip(scores, labels, strict=True):
        alive = (
            (beam[beam != BLANK].tolist(), place)
            for place, (score, beam) in enumerate(zip(row.tolist(), beams, strict=True))
            if score > -torch.inf
        )
        found.append([place for _, place in distinct(text_encoder, alive, nbest)] or [0])
    return found


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
