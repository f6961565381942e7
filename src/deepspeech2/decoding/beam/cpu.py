"""The prefix beam search on the CPU: utterances of a batch beside each other on all threads."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import cache
from typing import Annotated, ClassVar

import numpy as np
import torch
from annotated_types import Interval
from numpy.typing import NDArray
from pydantic import AllowInfNan

from deepspeech2.console import announce
from deepspeech2.decoding.decoder import make_hypothesis, text_of
from deepspeech2.decoding.kernels.frames import compact, emission_frames
from deepspeech2.decoding.kernels.prefixes import Fusion, no_fusion
from deepspeech2.decoding.kernels.search import search
from deepspeech2.errors import ConfigError
from deepspeech2.jit import cache_folder
from deepspeech2.processes import cancelling
from deepspeech2.settings.values import Count, settings
from deepspeech2.text import Tokenizer
from deepspeech2.types import Hypothesis, Padded

_log = logging.getLogger(__name__)

_Threshold = Annotated[float, Interval(gt=0), AllowInfNan()]  # infinity is none, too
_Probability = Annotated[float, Interval(gt=0, le=1), "a number above 0 and up to 1"]


@settings("decoder")
class SearchOptions:
    """How wide to search.

    Attributes:
        beam_size: prefixes to keep in each frame.
        nbest: hypotheses of different texts to return, at most ``beam_size``.
        beam_size_token: consider only this many best labels in a frame; None: all.
        beam_threshold: drop prefixes that are worse than the best by more than this many nats;
            None: none.
        blank_threshold: take frames whose blank is more probable than this as certain blanks,
            and search only the others; None: search all.
        threads: utterances to decode at a time on the CPU; None: as many as torch has threads.

    Raises:
        ConfigError: an option is out of range.
    """

    group: ClassVar[str]

    beam_size: Count = 10
    nbest: Count = 1
    beam_size_token: Count | None = None
    beam_threshold: _Threshold | None = None
    blank_threshold: _Probability | None = None
    threads: Count | None = None

    def __post_init__(self) -> None:
        if self.nbest > self.beam_size:
            raise ConfigError(
                f"decoder.nbest must be 1 to beam_size ({self.beam_size}), but is {self.nbest}"
            )

    @property
    def settings(self) -> dict[str, int | float | None]:
        """What a checkpoint keeps: all but the threads, which are the machine's."""
        return {name: value for name, value in asdict(self).items() if name != "threads"}


def search_batch(
    log_probs: Padded, options: SearchOptions, fusion: Fusion, text_encoder: Tokenizer
) -> list[list[Hypothesis]]:
    """Up to ``nbest`` hypotheses for each utterance of (B, T, V), best first, at least one.

    The score is the log-probability of the labels, summed over the alignments that stayed in the
    beam, and what the fusion adds. A label is emitted in the first frame of its run on the best
    path.
    """
    _compile()
    data = log_probs.data
    if data.dtype not in (torch.float32, torch.float64):
        data = data.float()
    rows = np.ascontiguousarray(data.cpu().numpy())
    lengths = log_probs.lengths.tolist()
    threads = min(options.threads or torch.get_num_threads(), max(1, len(rows)))

    def decode(index: int) -> list[Hypothesis]:
        return _decode(rows[index], lengths[index], options, fusion, text_encoder)

    if threads == 1:
        return [decode(index) for index in range(len(rows))]
    # the longest first, so that no thread is left alone with it in the end
    order = sorted(range(len(rows)), key=lambda index: -lengths[index])
    with cancelling(ThreadPoolExecutor(threads)) as pool:
        results = dict(zip(order, pool.map(decode, order), strict=True))
    return [results[index] for index in range(len(rows))]


def _decode(
    log_probs: NDArray[np.floating],
    length: int,
    options: SearchOptions,
    fusion: Fusion,
    text_encoder: Tokenizer,
) -> list[Hypothesis]:
    n_tokens = log_probs.shape[1]
    frames, positions, skipped = compact(
        log_probs,
        length,
        min(options.beam_size_token or n_tokens, n_tokens),
        math.inf if options.blank_threshold is None else math.log(options.blank_threshold),
    )
    scores, lengths, labels = search(
        frames,
        options.beam_size,
        math.inf if options.beam_threshold is None else float(options.beam_threshold),
        1 if options.nbest == 1 else options.beam_size,  # many are the same text
        fusion,
    )
    rows = zip(labels, lengths.tolist(), scores.tolist(), strict=True)
    beams = ((row[:count], score + skipped) for row, count, score in rows)
    return describe(frames, positions, beams, options.nbest, text_encoder)


def describe(
    frames: NDArray[np.float64],
    positions: NDArray[np.int64],
    beams: Iterable[tuple[NDArray[np.int64], float]],
    nbest: int,
    text_encoder: Tokenizer,
) -> list[Hypothesis]:
    """The first ``nbest`` hypotheses of different texts, at least one.

    Each has the frames of its labels on the best path, and their posteriors there. Labels that
    differ in spaces at an end or beside another space are the same text.

    Args:
        frames: (T, V) log-probabilities.
        positions: (T,) which frame of the network's output each is.
        beams: (L,) labels without blanks, and their score in natural logarithms; best first.
        nbest: how many.
        text_encoder: the alphabet.
    """
    result: dict[str, Hypothesis] = {}
    for labels, score in beams:
        text = text_of(labels.tolist(), text_encoder)
        if text in result:
            continue
        emitted = emission_frames(frames, labels)
        confidences = frames[emitted, labels].tolist() if len(frames) else []
        result[text] = make_hypothesis(
            text_encoder, score, labels.tolist(), positions[emitted].tolist(), confidences
        )
        if len(result) == nbest:
            break
    return list(result.values()) or [Hypothesis("", -math.inf)]


@cache
def _compile() -> None:
    """Compile what is not in Numba's cache, and announce it, because it takes a while."""
    if not list(cache_folder().rglob("search.search-*.nbc")):
        announce(_log, "compiling the beam search for this machine, which is done once")
    frames, _, _ = compact(np.zeros((1, 2), np.float32), 1, 2, math.inf)
    search(frames, 1, math.inf, 1, no_fusion(2))
