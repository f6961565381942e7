"""The prefix beam search on the CPU: utterances of a batch beside each other on all threads."""

from __future__ import annotations

import logging
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from deepspeech2.console import announce
from deepspeech2.decoding.decoder import distinct, make_hypothesis
from deepspeech2.decoding.kernels.lm import HOT_STATE, SPELLING_NODE, Fusion
from deepspeech2.decoding.kernels.pruning import compact, emission_frames
from deepspeech2.decoding.kernels.search import search
from deepspeech2.errors import ConfigError
from deepspeech2.jit import cache_folder
from deepspeech2.processes import cancelling
from deepspeech2.text import TextEncoder
from deepspeech2.text.ngram.kernel import NODE
from deepspeech2.types import Hypothesis, Padded

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How wide to search.

    Attributes:
        beam_size: prefixes to keep in each frame.
        nbest: hypotheses of different texts to return, at most ``beam_size``.
        beam_size_token: consider only so many best labels in a frame; None: all.
        beam_threshold: drop prefixes that are worse than the best by more than this many nats;
            None: none.
        blank_threshold: take frames whose blank is more probable than this as certain blanks,
            and search only the others; None: search all.
        threads: utterances to decode at a time on the CPU; None: as many as torch has threads.

    Raises:
        ConfigError: an option is out of range.
    """

    beam_size: int = 10
    nbest: int = 1
    beam_size_token: int | None = None
    beam_threshold: float | None = None
    blank_threshold: float | None = None
    threads: int | None = None

    @property
    def settings(self) -> dict[str, int | float | None]:
        """What a checkpoint keeps: all but the threads, which are the machine's."""
        return {name: value for name, value in asdict(self).items() if name != "threads"}

    def __post_init__(self) -> None:
        if self.beam_size < 1:
            raise ConfigError(f"beam_size must be at least 1, but is {self.beam_size}")
        if not 1 <= self.nbest <= self.beam_size:
            raise ConfigError(
                f"nbest must be 1 to beam_size ({self.beam_size}), but is {self.nbest}"
            )
        if self.beam_size_token is not None and self.beam_size_token < 1:
            raise ConfigError(f"beam_size_token must be at least 1, but is {self.beam_size_token}")
        if self.beam_threshold is not None and not self.beam_threshold > 0:
            raise ConfigError(f"beam_threshold must be positive, but is {self.beam_threshold}")
        if self.blank_threshold is not None and not 0 < self.blank_threshold <= 1:
            raise ConfigError(f"blank_threshold must be in (0, 1], but is {self.blank_threshold}")
        if self.threads is not None and self.threads < 1:
            raise ConfigError(f"threads must be at least 1, but is {self.threads}")


def no_fusion(n_tokens: int) -> Fusion:
    """Neither language model nor hot words."""
    return Fusion(
        has_lm=False,
        has_hot=False,
        lm=np.zeros(1, NODE),
        spellings=np.zeros(1, SPELLING_NODE),
        hot=np.zeros(1, HOT_STATE),
        hot_after=np.zeros((1, 1), np.int32),
        hot_start=0,
        letters=np.zeros(n_tokens, np.int32),
        weight=0.0,
        word_score=0.0,
        unknown_score=0.0,
        space=0,
        unknown=0,
        end=0,
        start=0,
        at_most=np.zeros(n_tokens),
    )


def search_batch(
    log_probs: Padded, options: SearchOptions, fusion: Fusion, text_encoder: TextEncoder
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
    # the longest first, lest one thread is left alone with it in the end
    order = sorted(range(len(rows)), key=lambda index: -lengths[index])
    with cancelling(ThreadPoolExecutor(threads)) as pool:
        found = dict(zip(order, pool.map(decode, order), strict=True))
    return [found[index] for index in range(len(rows))]


def _decode(
    log_probs: NDArray[np.floating],
    length: int,
    options: SearchOptions,
    fusion: Fusion,
    text_encoder: TextEncoder,
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
    rows = zip(scores.tolist(), lengths.tolist(), labels, strict=True)
    found = ((row[:count].tolist(), (row[:count], score)) for score, count, row in rows)
    hypotheses = [
        describe(frames, positions, row, score + skipped, text_encoder)
        for _, (row, score) in distinct(text_encoder, found, options.nbest)
    ]
    return hypotheses or [Hypothesis("", -math.inf)]


def describe(
    frames: NDArray[np.float64],
    positions: NDArray[np.int64],
    labels: NDArray[np.int64],
    score: float,
    text_encoder: TextEncoder,
) -> Hypothesis:
    """A hypothesis with the frame of each label on the best path and its posterior there.

    Args:
        frames: (T, V) log-probabilities.
        positions: (T,) the frame of the network's output that each stands for.
        labels: (L,) without blanks.
        score: natural logarithm.
        text_encoder: knows the characters.
    """
    emitted = emission_frames(frames, labels)
    return make_hypothesis(
        text_encoder,
        score,
        labels.tolist(),
        positions[emitted].tolist(),
        frames[emitted, labels].tolist() if len(frames) else [],
    )


@cache
def _compile() -> None:
    """Compile what is not in Numba's cache, and say so, for it takes a while."""
    if not list(cache_folder().rglob("search.search-*.nbc")):
        announce(_log, "compiling the beam search for this machine, which is done once")
    frames, _, _ = compact(np.zeros((1, 2), np.float32), 1, 2, math.inf)
    search(frames, 1, math.inf, 1, no_fusion(2))
