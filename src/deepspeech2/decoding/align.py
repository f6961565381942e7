"""CTC forced alignment: when each word and character of a known text is spoken."""

from __future__ import annotations

import math
import reprlib
from dataclasses import dataclass
from itertools import chain, groupby

import torch
from torch import Tensor

from deepspeech2.decoding.decoder import Word, text_of
from deepspeech2.decoding.kernels.frames import BLANK
from deepspeech2.errors import AudioError, ConfigError, ManifestError
from deepspeech2.text import Tokenizer

_REACH = 0.75  # frames that a word may reach beyond its labels
# torchaudio ends the process from here on: https://github.com/pytorch/audio/issues/4208
_LIMIT = 2**31  # frames times states, of which there are two for each label and one more
_FADE = 0.5  # how fast times pass, at least, where the delay is taken back


@dataclass(frozen=True, slots=True)
class Character:
    """A character, or a piece of subwords; ``start`` and ``end`` in seconds, ``confidence`` in
    [0, 1]."""

    character: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Alignment:
    """When a text is spoken in a recording.

    Attributes:
        words: in order, without overlap.
        characters: those of the words, in order; spaces are left out.
        score: log-probability of the path, natural logarithm.
    """

    words: tuple[Word, ...]
    characters: tuple[Character, ...]
    score: float


@dataclass(frozen=True, slots=True)
class _Run:
    """A label's frames, from ``start`` up to ``end``, and their mean log-probability."""

    label: int
    start: float
    end: float
    log_prob: float


def align(
    log_probs: Tensor,
    text: str,
    *,
    text_encoder: Tokenizer,
    seconds_per_frame: float,
    duration: float | None = None,
    delay: float = 0.0,
) -> Alignment:
    """Find the most probable path that reads ``text``, return its times.

    The path is that of A. Graves et al., Connectionist Temporal Classification, ICML 2006,
    section 4.1, with the maximum in place of the sum. Frame i is the time around
    i * seconds_per_frame, the middle of its receptive field.

    A CTC network marks characters, it does not measure them: a character's times are those of
    its labels, often a single frame. So the gap between the labels of two words, in which the
    space is, is shared between the words up to its middle; but a word reaches at most 0.75 frames
    beyond its labels, so that a pause stays outside of both. On the test part of the built-in
    corpus this is as close as the space's own frame, which has one time for both words whatever
    the pause, and closer than the labels alone: median errors of 19, 19 and 28 ms without delay.

    ``delay`` is how much later than the sound a network marks it, which is its own habit: three of
    the same shape were 65 ms late, on time and 43 ms early. :mod:`deepspeech2.inference.delay`
    measures it. It fades out towards the end of the audio to which the times move, so that no word
    leaves the audio or shrinks to nothing.

    A word's confidence is the geometric mean over its characters; a character's is that over
    its frames.

    Args:
        log_probs: (T, V) natural logarithms.
        text: is normalised by ``text_encoder``.
        seconds_per_frame: duration of a frame.
        duration: of the audio, in seconds; None takes T frames.
        delay: seconds; negative where the network is early.

    Raises:
        ManifestError: the text has no word, or a character outside the alphabet.
        AudioError: the audio is too short for the text, the text has the probability 0, or both are
            too long to be aligned at once: at the usual speed of speech, after half an hour.
        ConfigError: torchaudio is not installed.
    """
    labels = text_encoder.encode(text)
    _check(labels, text, len(log_probs), text_encoder, seconds_per_frame)
    path, scores = _best_path(log_probs, labels)
    score = math.fsum(scores)
    if not math.isfinite(score):
        raise AudioError(
            f"the text {reprlib.repr(text)} cannot be aligned: its log-probability is {score}"
        )
    end = len(log_probs) * seconds_per_frame if duration is None else duration
    clock = _Clock(seconds_per_frame, end, delay)
    runs = _runs(path, scores)
    groups = text_encoder.words([run.label for run in runs])
    spoken = [[runs[place] for place in places] for places in groups]
    characters = tuple(
        Character(
            text_of([run.label], text_encoder),
            clock(run.start),
            clock(run.end),
            _confidence(run.log_prob),
        )
        for run in chain.from_iterable(spoken)
    )
    return Alignment(_timed_words(spoken, clock, text_encoder), characters, score)


def _check(
    labels: list[int],
    text: str,
    n_frames: int,
    text_encoder: Tokenizer,
    seconds_per_frame: float,
) -> None:
    """Raise what :func:`align` raises before the search."""
    if not text_encoder.words(labels):
        raise ManifestError(f"the text to align must contain at least one word, but is {text!r}")
    needed = text_encoder.minimum_frames(labels)
    if n_frames < needed:
        raise AudioError(
            f"the text {reprlib.repr(text)} is too long for the audio: it takes {needed} frames of "
            f"{seconds_per_frame:g} s, and there are {n_frames}"
        )
    if n_frames * (2 * len(labels) + 1) >= _LIMIT:
        raise AudioError(
            f"{len(labels)} {text_encoder.unit} in {n_frames * seconds_per_frame / 60:.0f} minutes"
            " of audio are too many to align at once: cut the recording and its text into parts"
        )


@dataclass(frozen=True, slots=True)
class _Clock:
    """From frames to seconds in [0, duration], strictly increasing inside of the audio."""

    seconds_per_frame: float
    duration: float
    delay: float

    def __call__(self, frame: float) -> float:
        time = min(max(frame * self.seconds_per_frame, 0.0), self.duration)
        if self.delay >= 0:
            return max(time - self.delay, _FADE * time)
        left = self.duration - time
        return self.duration - max(left + self.delay, _FADE * left)


def _best_path(log_probs: Tensor, labels: list[int]) -> tuple[list[int], list[float]]:
    """For each frame the token on the best path, and its log-probability."""
    try:
        from torchaudio.functional import forced_align  # here: transcribing does without it
    except ImportError as error:
        raise ConfigError(
            f"aligning needs torchaudio ({error}): install the one that belongs to "
            f"torch {torch.__version__}"
        ) from error
    data = log_probs.detach().cpu()
    if data.dtype != torch.float64:
        data = data.float()
    path, scores = forced_align(data[None].contiguous(), torch.tensor([labels]), blank=BLANK)
    return path[0].tolist(), scores[0].tolist()


def _runs(path: list[int], scores: list[float]) -> list[_Run]:
    """The labels of a path; a frame reaches half a frame to either side of its middle."""
    runs = []
    for label, group in groupby(enumerate(path), key=lambda item: item[1]):
        if label == BLANK:
            continue
        frames = [frame for frame, _ in group]
        log_prob = math.fsum(scores[frame] for frame in frames) / len(frames)
        runs.append(_Run(label, frames[0] - 0.5, frames[-1] + 0.5, log_prob))
    return runs


def _timed_words(
    spoken: list[list[_Run]], clock: _Clock, text_encoder: Tokenizer
) -> tuple[Word, ...]:
    result = []
    for index, group in enumerate(spoken):
        before = spoken[index - 1][-1].end if index else -math.inf
        after = spoken[index + 1][0].start if index + 1 < len(spoken) else math.inf
        first, last = group[0].start, group[-1].end
        result.append(
            Word(
                text_of([run.label for run in group], text_encoder),
                clock(first - min((first - before) / 2, _REACH)),
                clock(last + min((after - last) / 2, _REACH)),
                _confidence(math.fsum(run.log_prob for run in group) / len(group)),
            )
        )
    return tuple(result)


def _confidence(log_prob: float) -> float:
    return min(1.0, math.exp(log_prob))
