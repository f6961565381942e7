"""The prefix beam search in PyTorch: on a GPU, all utterances and beams at once.

A. Graves, Supervised Sequence Labelling with Recurrent Neural Networks, 2012, section 7.5.3;
A. Hannun et al., First-Pass Large Vocabulary Continuous Speech Recognition using Bi-Directional
Recurrent DNNs, 2014, algorithm 1. Here in the log domain, with one loop over frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from deepspeech2.decoding.beam.cpu import SearchOptions, describe
from deepspeech2.text import Tokenizer
from deepspeech2.types import Hypothesis, Padded

BLANK = 0
_EMPTY_PREFIX = 1
_NO_PREFIX = 0
_MULTIPLIER = 0x5851F42D4C957F2D  # odd: multiplication modulo 2^64 loses nothing


def search_on_device(
    log_probs: Padded, options: SearchOptions, text_encoder: Tokenizer
) -> list[list[Hypothesis]]:
    """Up to ``nbest`` hypotheses for each utterance of (B, T, V), best first, at least one.

    They are those of :func:`deepspeech2.decoding.beam.cpu.search_batch` without a fusion.
    """
    frames, positions, skipped = _prepare(log_probs, options)
    scores, labels = prefix_beam_search(
        frames, beam_size=options.beam_size, beam_threshold=options.beam_threshold
    )
    count = 1 if options.nbest == 1 else options.beam_size  # many are the same text
    # In which frames labels were emitted is found on the host, as in its own search.
    scores, labels = (scores[:, :count] + skipped[:, None]).cpu(), labels[:, :count].cpu()
    emissions = frames.transpose(0, 1).cpu()
    utterances = zip(emissions, positions.cpu(), labels, scores.tolist(), strict=True)
    result = []
    for data, places, rows, values in utterances:
        beams = zip(rows.numpy(), values, strict=True)
        alive = ((row[row != BLANK], score) for row, score in beams if score > -math.inf)
        one = data.double().contiguous().numpy()
        hypotheses = describe(one, places.numpy(), alive, options.nbest, text_encoder)
        result.append(hypotheses)
    return result


def _prepare(log_probs: Padded, options: SearchOptions) -> tuple[Tensor, Tensor, Tensor]:
    """The frames of (B, T, V) to search, in float32 or float64.

    Returns:
        (T', B, V) log-probabilities: after the end of an utterance every frame is a certain blank,
        which leaves all prefixes and their scores as they are; (B, T') which frame of the network's
        output each is; (B,) log-probability of the blanks of all frames that are left out.
    """
    data, valid = log_probs.data, log_probs.mask()
    if data.dtype != torch.float64:
        data = data.float()
    if options.beam_size_token is not None:
        data = _best_labels(data, options.beam_size_token)
    positions = torch.arange(data.shape[1], device=data.device).expand(data.shape[:2])
    skipped = data.new_zeros(len(data))
    lengths = log_probs.lengths
    certain = ~valid
    # Frames that are surely silent are certain blanks; of several in a row one stays, because it
    # separates equal labels.
    if options.blank_threshold is not None:
        silent = valid & (data[..., BLANK] > math.log(options.blank_threshold))
        skipped = data[..., BLANK].masked_fill(~silent, 0.0).sum(1)
        follows = torch.zeros_like(silent)
        follows[:, 1:] = silent[:, :-1]
        kept = valid & ~(silent & follows)
        positions = torch.argsort(~kept, dim=1, stable=True)
        lengths = kept.sum(1)
        certain |= silent
    # What stays moves to the front.
    length = int(lengths.max()) if len(lengths) else 0
    positions = positions[:, :length]
    data = data.gather(1, positions[..., None].expand(-1, -1, data.shape[2]))
    certain = certain.gather(1, positions)
    certain |= torch.arange(length, device=data.device) >= lengths[:, None]
    blank = data.new_full(data.shape[-1:], -math.inf)
    blank[BLANK] = 0.0
    data = torch.where(certain[..., None], blank, data)
    return data.transpose(0, 1).contiguous(), positions, skipped


def _best_labels(data: Tensor, count: int) -> Tensor:
    labels = data[..., BLANK + 1 :]
    best = labels.topk(min(count, labels.shape[-1]), dim=-1)
    rest = torch.full_like(labels, -math.inf).scatter(-1, best.indices, best.values)
    return torch.cat([data[..., : BLANK + 1], rest], dim=-1)


@dataclass(frozen=True, slots=True)
class _Beams:
    """K prefixes of each of B utterances, best first; every tensor is (B, K).

    A prefix is known by a 64-bit hash of its labels. ``parent`` is the hash of the prefix without
    its last label. A dead beam (score -inf) has no parent, so that it attracts no probability.
    """

    score: Tensor
    blank: Tensor
    label: Tensor
    last: Tensor
    hash: Tensor
    parent: Tensor


def prefix_beam_search(
    frames: Tensor, *, beam_size: int, beam_threshold: float | None = None
) -> tuple[Tensor, Tensor]:
    """The best prefixes and what they consist of.

    Args:
        frames: (T, B, V) log-probabilities.
        beam_size: prefixes to keep in each frame, K.
        beam_threshold: drop a prefix that is worse than the best by more than this.

    Returns:
        (B, K) scores, best first, -inf where there are fewer prefixes; (B, K, T) the label that
        each prefix was extended by in each frame, or the blank for none.
    """
    n_frames, batch, n_tokens = frames.shape
    beams = _start(frames, batch, beam_size)
    choices = torch.empty((n_frames, batch, beam_size), dtype=torch.int64, device=frames.device)
    for frame, choice in zip(frames, choices, strict=True):
        beams = _step(beams, frame, choice, beam_threshold)
    return beams.score, _trace(choices, n_tokens)


def _start(frames: Tensor, batch: int, beam_size: int) -> _Beams:
    score = frames.new_full((batch, beam_size), -math.inf)
    label = score.clone()
    score[:, 0] = 0.0
    last = torch.full(score.shape, BLANK, dtype=torch.int64, device=frames.device)
    return _Beams(
        score,
        score.clone(),
        label,
        last,
        torch.full_like(last, _EMPTY_PREFIX),
        torch.full_like(last, _NO_PREFIX),
    )


def _step(beams: _Beams, frame: Tensor, choice: Tensor, beam_threshold: float | None) -> _Beams:
    """Beams after ``frame`` (B, V); writes the chosen candidates (B, K) to ``choice``."""
    candidates, blank, label = _candidates(beams, frame)
    score, _ = torch.topk(
        candidates.flatten(1),
        candidates.shape[1],
        out=(torch.empty_like(beams.score), choice),
    )
    origin = torch.div(choice, frame.shape[1], rounding_mode="floor")
    token = choice - origin * frame.shape[1]
    stays = token == BLANK
    blank = blank.gather(1, origin).masked_fill_(~stays, -math.inf)
    label = torch.where(stays, label.gather(1, origin), score)
    if beam_threshold is not None:
        dropped = score < score[:, :1] - beam_threshold
        score, blank, label = (
            part.masked_fill(dropped, -math.inf) for part in (score, blank, label)
        )
    previous = beams.hash.gather(1, origin)
    parent = torch.where(stays, beams.parent.gather(1, origin), previous)
    return _Beams(
        score,
        blank,
        label,
        torch.where(stays, beams.last.gather(1, origin), token),
        torch.where(stays, previous, _extend(previous, token)),
        parent.masked_fill_(score == -math.inf, _NO_PREFIX),
    )


def _candidates(beams: _Beams, frame: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Scores (B, K, V) of all extensions, with the prefix itself in the blank's place.

    Also the two parts of the latter's score, (B, K) each: ending in a blank and in its label.
    """
    emission = frame.gather(1, beams.last)
    candidates = beams.score[:, :, None] + frame[:, None, :]
    blank = candidates[:, :, BLANK].clone()
    # The same label again extends a prefix only after a blank. For the empty prefix this writes
    # the blank's place, which is set below.
    candidates.scatter_(2, beams.last[..., None], (beams.blank + emission)[..., None])
    # The extension of prefix p by c may be a prefix q that is in the beam as well: q takes its
    # probability over. Prefixes are distinct, so at most one live p is q without its last label.
    is_parent = beams.hash[:, :, None] == beams.parent[:, None, :]
    last = beams.last[:, None, :].expand_as(is_parent)
    moved = candidates.gather(2, last).masked_fill_(~is_parent, -math.inf).amax(1)
    label = torch.logaddexp(beams.label + emission, moved)
    # Where p is not q's parent this writes the blank's place as well.
    candidates.scatter_(2, torch.where(is_parent, last, BLANK), -math.inf)
    candidates[:, :, BLANK] = torch.logaddexp(blank, label)
    return candidates, blank, label


def _extend(prefix: Tensor, token: Tensor) -> Tensor:
    mixed = (prefix + token) * _MULTIPLIER
    return mixed ^ (mixed >> 32)


def _trace(choices: Tensor, n_tokens: int) -> Tensor:
    """Follow (T, B, K) choices backwards from every final beam: (B, K, T) labels."""
    origins = torch.div(choices, n_tokens, rounding_mode="floor")
    visited = torch.empty_like(choices)
    beam = torch.arange(choices.shape[2], device=choices.device).expand(choices.shape[1:])
    for index in range(len(choices) - 1, -1, -1):
        visited[index] = beam
        beam = origins[index].gather(1, beam)
    return (choices - origins * n_tokens).gather(2, visited).permute(1, 2, 0)
