"""Word times of eSpeak NG: the same audio, and words where they sound."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from deepspeech2.audio.synthesis import Synthesizer, Voice
from deepspeech2.audio.synthesis_events import SpokenWord

VOICES = [Voice(), Voice("en-us", "f3", rate=140), Voice("en", "m8"), Voice("en-gb-x-rp", "m1")]
TEXT = "page four hundred and twenty is missing, so we will travel on the seventh at two o'clock"


def timed(text: str, voice: Voice) -> tuple[np.ndarray, int, tuple[SpokenWord, ...]]:
    return Synthesizer().speak_timed(text, voice)


@pytest.mark.parametrize("voice", VOICES, ids=lambda voice: voice.name)
@pytest.mark.parametrize("text", [TEXT, "a", "", "Straße, 25 über!"])
def test_the_samples_are_those_of_speech_without_times(text: str, voice: Voice) -> None:
    plain, sample_rate = Synthesizer().speak(text, voice)
    samples, rate, words = timed(text, voice)
    assert rate == sample_rate
    np.testing.assert_array_equal(samples, plain)
    assert " ".join(word.text for word in words) == text
    assert all(word.start < word.end for word in words)
    assert all(left.end <= right.start for left, right in pairwise(words))
    assert not words or (words[0].start >= 0 and words[-1].end <= len(samples) / sample_rate)


@pytest.mark.parametrize("voice", VOICES, ids=lambda voice: voice.name)
def test_a_pause_belongs_to_no_word(voice: Voice) -> None:
    samples, rate, (first, second) = timed("hello, world", voice)
    assert second.start - first.end > 0.1
    # what rings on after a word is over within 40 ms
    pause = samples[round((first.end + 0.04) * rate) : round(second.start * rate)]
    spoken = samples[round(first.start * rate) : round(first.end * rate)]
    assert np.square(pause).mean() < 0.003 * np.square(spoken).mean()


@pytest.mark.parametrize("voice", VOICES, ids=lambda voice: voice.name)
def test_a_hissing_word_lies_where_it_hisses(voice: Voice) -> None:
    samples, rate, (_, see, _) = timed("we see you", voice)
    frames = samples[: len(samples) // 220 * 220].reshape(-1, 220)  # each 10 ms
    power = np.abs(np.fft.rfft(frames)) ** 2
    loud = power.sum(1) > 0.01 * power.sum(1).max()
    hissing = np.flatnonzero(loud & (power[:, 30:].sum(1) > 0.5 * power.sum(1)))  # above 3 kHz
    assert hissing[0] * 220 / rate == pytest.approx(see.start + 0.015, abs=0.02)
    assert (hissing[-1] + 1) * 220 / rate < see.end


def test_words_said_as_one_are_one() -> None:
    words = timed("put it on the table at one o'clock", Voice())[2]
    assert [word.text for word in words] == ["put", "it", "on the", "table", "at", "one", "o'clock"]


def test_a_number_is_the_word_that_was_written() -> None:
    words = timed("it costs 25 dollars", Voice())[2]
    assert [word.text for word in words] == ["it", "costs", "25", "dollars"]
    assert words[2].end - words[2].start > 0.5
