"""Words while somebody speaks, from any model."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from deepspeech2.audio.silence import Levels, cut
from deepspeech2.decoding import Word
from deepspeech2.errors import ConfigError
from deepspeech2.inference import Recognizer, StreamingRecognizer
from deepspeech2.transcripts import Transcript

Samples = npt.NDArray[np.float32]

_REFRESH = 1.0  # seconds of new sound after which a model that needs the whole is run again
_SETTLED = 12.0  # seconds of sound of which the earlier part is settled
_PIECE = 8.0  # seconds of a settled part, at most


class Progress(NamedTuple):
    """The words so far, without those that the client has and that stay as they are.

    Attributes:
        settled: how many words of before stay.
        words: those that follow them.
    """

    settled: int
    words: tuple[Word, ...]


class StreamLive:
    """A recording for a model that streams: every frame is processed once."""

    def __init__(self, recognizer: StreamingRecognizer) -> None:
        self._recognizer = recognizer
        self._state = recognizer.start()
        self._settled = 0  # words
        self._start = 0.0  # seconds, of the word after them

    def add(self, samples: Samples) -> None:
        """Recognise more samples (S,), at the model's rate."""
        self._state = self._recognizer.hear(self._state, samples)

    def progress(self) -> Progress:
        """Return the words so far; to be called after each ``add``."""
        settled, words = self._settled, self._recognizer.words(self._state, start=self._start)
        if words:  # the last one may still grow
            self._settled += len(words) - 1
            self._start = words[-1].start
        return Progress(settled, words)

    def finish(self) -> Transcript:
        """Return the transcript of the whole recording."""
        return self._recognizer.finish(self._state)


class WindowLive:
    """The same for a model that needs all of a recording: its end is recognised repeatedly.

    What is further back is settled at a pause, and not recognised again before the end.
    """

    def __init__(self, recognizer: Recognizer) -> None:
        self._recognizer = recognizer
        self._quick = recognizer.greedy()
        self._rate = recognizer.sample_rate
        self._pieces: list[Samples] = []
        self._open = np.zeros(0, np.float32)  # what is not settled
        self._start = 0  # sample that it begins with
        self._fresh = 0  # samples since the last look
        self._n_sent = 0  # words that are settled and known to the client
        self._settled: tuple[Word, ...] = ()  # those that are not known yet
        self._loose: tuple[Word, ...] = ()

    def add(self, samples: Samples) -> None:
        self._pieces.append(samples)
        self._open = np.concatenate((self._open, samples))
        self._fresh += len(samples)
        if self._fresh < _REFRESH * self._rate:
            return
        self._fresh = 0
        if len(self._open) > _SETTLED * self._rate:
            levels = Levels(self._rate)
            for span in cut([self._open], levels, _PIECE)[:-1]:
                length = (span.end - span.start) * levels.step
                self._settled += self._recognize(self._open[:length])
                self._open = self._open[length:]
                self._start += length
        self._loose = self._recognize(self._open)

    def _recognize(self, samples: Samples) -> tuple[Word, ...]:
        start = self._start / self._rate
        words = self._quick.transcribe(samples).words if len(samples) else ()
        return tuple(
            replace(each, start=each.start + start, end=each.end + start) for each in words
        )

    def progress(self) -> Progress:
        progress = Progress(self._n_sent, self._settled + self._loose)
        self._n_sent += len(self._settled)
        self._settled = ()
        return progress

    def finish(self) -> Transcript:
        return self._recognizer.transcribe(np.concatenate(self._pieces or [self._open]))


Live = StreamLive | WindowLive


def live(recognizer: Recognizer) -> Live:
    """Start a recording for this model: as a stream if the model can."""
    try:
        return StreamLive(StreamingRecognizer(recognizer))
    except ConfigError:
        return WindowLive(recognizer)
