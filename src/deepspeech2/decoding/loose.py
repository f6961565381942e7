"""Align a long text and a long recording that agree only in part.

Sentences may be missing from the recording, and what is said may be missing from the text. Between
two words any frames may be passed over, and words may be left out, each at a price in natural
logarithms: as the star of V. Pratap et al., Scaling Speech Technology to 1,000+ Languages, 2023,
appendix A, and of Star Temporal Classification, 2022, but with a price for each label that the
network emits there, so that silence is free and speech that is not in the text is not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from deepspeech2.decoding.anchors import anchors
from deepspeech2.decoding.kernels.frames import BLANK
from deepspeech2.decoding.kernels.loose import GAP, best_states
from deepspeech2.errors import AudioError, ManifestError
from deepspeech2.text import Tokenizer

UNWRITTEN = 2.5  # price of a label that is emitted but not in the text, at most
UNSAID = 2.5  # price of a label of the text that is left out
_MOST = 2**34  # frames times states that are searched at once: about a minute
LEFT_OUT = -1
_AROUND = 4  # anchors on either side, whose median is the shift of subtitles at an anchor
_AROUND_WORD = 50  # the same of words, of which more are wrong than of anchors
_FEWEST = 3  # anchors that show whether subtitles fit

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Times = npt.NDArray[np.float64]


class Stretch(NamedTuple):
    """Frames from ``start`` up to ``end``, and words of the text from ``first`` up to ``last``."""

    start: int
    end: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class LooseAlignment:
    """Where the words of a text are said, if they are.

    Attributes:
        words: (W,) of the text, normalised.
        sizes: (W,) the labels of each.
        start, end: (W,) the first frame of a word's labels, and the one behind the last;
            ``LEFT_OUT`` where it is not said.
        cost: (W,) by how much a word's frames are less probable than the best tokens of the
            same frames, natural logarithm, for each of its labels; infinite if it is left out.
        passed_over: (T + 1,) the cost of the frames between words, summed up to each frame.
        unsearched: where text and audio agree nowhere for too long to be searched; none of these
            words is aligned.
        bounded: whether the times of subtitles were used.
    """

    words: tuple[str, ...]
    sizes: Integers
    start: Integers
    end: Integers
    cost: npt.NDArray[np.float64]
    passed_over: npt.NDArray[np.float64]
    unsearched: tuple[Stretch, ...] = ()
    bounded: bool = False


def align_loosely(
    log_probs: Tensor,
    text: str,
    text_encoder: Tokenizer,
    *,
    shown: Times | None = None,
    tolerance: float = 0.0,
) -> LooseAlignment:
    """Find the best path through ``text`` that may leave out words and pass over frames.

    The recording is divided where what the network hears agrees with the text, see
    :mod:`deepspeech2.decoding.anchors`, and each part is searched completely. The path of a part
    is the one of CTC (A. Graves et al., 2006, section 4.1) with the maximum in place of the sum.
    A part that is too long for that is passed over, and its words are left out.

    Args:
        log_probs: (T, V) natural logarithms; of 3 hours with 28 tokens, 30 MB.
        text: is normalised by ``text_encoder``.
        shown: (W, 2) from which and up to which frame each word is shown in subtitles. These may
            be shifted, by a shift that changes slowly; if they do not fit, they are not used.
        tolerance: frames by which a word may be said before or after that.

    Raises:
        ManifestError: the text has no word, or a character outside the alphabet, or the
            alphabet has no space, without which nothing can be left out.
        AudioError: there are no frames, or text and audio agree nowhere at all and are too long to
            be searched at once.
    """
    search = _Search(log_probs, text, text_encoder)
    found = search.anchors()
    if shown is None:
        return search.divided(found)
    fitting = search.bound(shown, tolerance, found, _AROUND)
    result = search.divided(fitting)
    if result.bounded:
        return result
    # too few anchors, as in another language than the network's: the words that were found anyway
    said = np.flatnonzero(result.start != LEFT_OUT)
    search = _Search(log_probs, text, text_encoder)
    pairs = [(int(result.start[word]), int(word)) for word in said]
    search.bound(shown, tolerance, pairs, _AROUND_WORD)
    return result if search.windows is None else search.divided([])


class _Search:
    """What is known of each word and frame, found part by part."""

    def __init__(self, log_probs: Tensor, text: str, text_encoder: Tokenizer) -> None:
        self.encoder = text_encoder
        if not text_encoder.spaced:
            raise ManifestError("the alphabet has no space: only texts with words can be divided")
        labels = text_encoder.encode(text)
        self.spoken = [[labels[i] for i in places] for places in text_encoder.words(labels)]
        if not self.spoken:
            raise ManifestError("the text to align must contain at least one word, but has none")
        if not len(log_probs):
            raise AudioError("there is no frame to align a text to: the recording is too short")
        data = log_probs.numpy()
        self.best = data.argmax(axis=1)
        self.frames: Floats = data - data.max(axis=1, keepdims=True)
        silent = self.frames[:, BLANK]
        if text_encoder.space is not None:
            silent = np.maximum(silent, self.frames[:, text_encoder.space])
        # a label costs once, however many frames it is held for
        held = np.concatenate(([False], self.best[1:] == self.best[:-1]))
        self.gaps: Floats = np.maximum(silent, np.where(held, 0.0, -UNWRITTEN)).astype(np.float32)
        count = len(self.spoken)
        self.sizes = np.array([len(word) for word in self.spoken])
        self.start = np.full(count, LEFT_OUT, np.int64)
        self.end = np.full(count, LEFT_OUT, np.int64)
        self.cost = np.full(count, np.inf)
        self.between = np.ones(len(data), bool)
        self.unsearched: list[Stretch] = []
        self.windows: Times | None = None

    def anchors(self) -> list[tuple[int, int]]:
        """Pairs of a frame and the word that follows it, where audio and text may be divided."""
        tokens = self.encoder.tokens
        starts = np.flatnonzero((self.best != BLANK) & (np.diff(self.best, prepend=BLANK) != 0))
        texts = [tokens[self.best[frame]] for frame in starts]
        frames = np.repeat(starts, [len(text) for text in texts])
        written = [self.encoder.joined(word).strip() for word in self.spoken]
        following = {0: 0}
        place = -1
        for number, word in enumerate(written):
            following[place] = number
            place += len(word) + 1
        found = anchors("".join(texts), " ".join(written))
        result: list[tuple[int, int]] = []
        for heard, place in found:
            frame = int(frames[heard])
            if frame > (result[-1][0] if result else 0):
                result.append((frame, following[place]))
        return result

    def bound(
        self, shown: Times, tolerance: float, found: list[tuple[int, int]], around: int
    ) -> list[tuple[int, int]]:
        """Let each word be said only around the time at which it is shown; return the anchors that
        do not contradict this."""
        if len(found) < _FEWEST:
            return found
        frames, words = np.array(found).T
        shifts = frames - _expected(shown)[words]
        nearby = [slice(max(0, i - around), i + around + 1) for i in range(len(found))]
        local = np.array([np.median(shifts[near]) for near in nearby])
        early = frames < shown[words, 0] + local - tolerance
        late = frames > shown[words, 1] + local + tolerance
        fits = ~early & ~late
        if fits.sum() < max(_FEWEST, len(found) / 2):
            return found
        words, local = words[fits], local[fits]
        behind = np.searchsorted(words, np.arange(len(shown)), side="right")
        left = local[np.maximum(behind - 1, 0)]
        right = local[np.minimum(behind, len(words) - 1)]
        first = shown[:, 0] + np.minimum(left, right) - tolerance
        last = shown[:, 1] + np.maximum(left, right) + tolerance
        # as the text is in order, so are the times at which its words may be said
        ordered = np.minimum.accumulate(first[::-1])[::-1], np.maximum.accumulate(last)
        self.windows = np.stack(ordered, axis=1)
        return [each for each, kept in zip(found, fits, strict=True) if kept]

    def divided(self, found: list[tuple[int, int]]) -> LooseAlignment:
        """The result of searching each part between two of the anchors ``found``."""
        cuts = [(0, 0), *found, (len(self.best), len(self.spoken))]
        for (first, word), (end, next_word) in pairwise(cuts):
            self.run(first, end, word, next_word)
        return self.result()

    def run(self, first: int, end: int, word: int, next_word: int) -> None:
        """Align words from ``word`` up to ``next_word`` to frames from ``first`` up to ``end``."""
        if first == end:
            return
        tokens, jumps, skips, owners = _states(self.spoken[word:next_word])
        n_frames = end - first
        gaps = np.flatnonzero(tokens == GAP).astype(np.int32)
        low = np.zeros(n_frames, np.int32)
        high = np.full(n_frames, len(tokens), np.int32)
        if self.windows is not None:
            frames = np.arange(first, end)
            earliest, latest = self.windows[word:next_word].T
            low = gaps[np.searchsorted(latest, frames, side="right")]
            high = gaps[np.searchsorted(earliest, frames, side="right")] + np.int32(1)
            high[-1] = len(tokens)
        if (high - low).sum(dtype=np.int64) > _MOST:
            self.unsearched.append(Stretch(first, end, word, next_word))
            return
        spacing = math.isqrt(n_frames) + 1
        states, _ = best_states(
            self.frames[first:end], self.gaps[first:end], tokens, jumps, skips, low, high, spacing
        )
        inside = np.flatnonzero(tokens[states] != GAP)
        if not len(inside):
            return
        self.between[first + inside] = False
        costs = -self.frames[first + inside, tokens[states[inside]]].astype(np.float64)
        numbers = word + owners[states[inside]]
        heads = np.flatnonzero(np.diff(numbers, prepend=-1))
        said = numbers[heads]
        self.start[said] = first + inside[heads]
        self.end[said] = first + inside[np.append(heads[1:], len(inside)) - 1] + 1
        self.cost[said] = np.add.reduceat(costs, heads) / self.sizes[said]

    def result(self) -> LooseAlignment:
        if self.unsearched and (self.start == LEFT_OUT).all():
            raise AudioError(
                f"{len(self.spoken)} words and {len(self.best)} frames have nothing in common that"
                " divides them: check that the text is that of the recording"
            )
        ignored = np.where(self.between, -self.gaps.astype(np.float64), 0.0)
        return LooseAlignment(
            tuple(self.encoder.decode(word).strip() for word in self.spoken),
            self.sizes,
            self.start,
            self.end,
            self.cost,
            np.concatenate(([0.0], np.cumsum(ignored))),
            tuple(self.unsearched),
            self.windows is not None,
        )


def _expected(shown: Times) -> Times:
    """(W,) the frame at which each word is said if those of a subtitle take equal times."""
    changed = np.any(np.diff(shown, axis=0, prepend=np.nan) != 0, axis=1)
    heads = np.flatnonzero(changed)
    counts = np.diff(np.append(heads, len(shown)))
    places = (np.arange(len(shown)) - np.repeat(heads, counts)) / np.repeat(counts, counts)
    return np.asarray(shown[:, 0] + (shown[:, 1] - shown[:, 0]) * places)


def _states(
    spoken: list[list[int]],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_], Floats, Integers]:
    """Tokens, jumps and skips of :func:`best_states`, and for each state its word."""
    tokens, jumps, skips, owners = [GAP], [False], [0.0], [0]
    for number, labels in enumerate(spoken):
        for place, label in enumerate(labels):
            if place:
                tokens.append(BLANK)
                jumps.append(False)
            tokens.append(label)
            jumps.append(place > 0 and label != labels[place - 1])
        tokens.append(GAP)
        jumps.append(False)
        skips += [0.0] * (len(tokens) - 1 - len(skips)) + [-UNSAID * len(labels)]
        owners += [number] * (len(tokens) - len(owners))
    return (
        np.array(tokens, np.int32),
        np.array(jumps),
        np.array(skips, np.float32),
        np.array(owners, np.int64),
    )
