"""Word times of the built-in corpus: in the audio as it is written."""

from __future__ import annotations

from itertools import pairwise

import pytest

from deepspeech2.datasets.spoken import SAMPLE_RATE, render, word_times
from deepspeech2.datasets.spoken.script import script

LINES = list(script())[::101]


def test_words_fill_the_speech_between_the_silences() -> None:
    for line in LINES:
        words = word_times(line)
        before, after = line.silence
        assert " ".join(word.text for word in words) == line.text
        assert words[0].start == pytest.approx(before, abs=0.02)
        end = len(render(line)) / SAMPLE_RATE - after
        assert words[-1].end == pytest.approx(end, abs=0.1)
        assert words[-1].end <= end + 1 / SAMPLE_RATE
        assert all(word.start < word.end for word in words)
        assert all(left.end <= right.start for left, right in pairwise(words))
