"""eSpeak NG: a pure function of text and voice, with errors that name the cause."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deepspeech2.audio.synthesis import Synthesizer, Voice
from deepspeech2.errors import ConfigError, SpeechError

TEXT = "set the alarm for seven thirty on monday morning"


def fundamental_hz(samples: np.ndarray, sample_rate: int) -> float:
    """Median over frames of the strongest autocorrelation between 60 and 400 Hz."""
    size = sample_rate // 20
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    loud = frames[np.square(frames).mean(1) > np.square(samples).mean()]
    spectra = np.abs(np.fft.rfft(loud, 2 * size)) ** 2
    correlation = np.fft.irfft(spectra)[:, :size]
    low, high = sample_rate // 400, sample_rate // 60
    return float(np.median(sample_rate / (low + correlation[:, low:high].argmax(1))))


@pytest.mark.parametrize("voice", [Voice(), Voice("en-gb-scotland", "f3"), Voice("en", "m8")])
def test_equal_calls_give_equal_samples_whatever_was_said_before(voice: Voice) -> None:
    first, sample_rate = Synthesizer().speak(TEXT, voice)
    Synthesizer().speak("something else entirely", Voice("en", "f1"))
    again, _ = Synthesizer().speak(TEXT, voice)
    assert first.dtype == np.float32
    assert 2 < len(first) / sample_rate < 4
    assert 0.1 < np.abs(first).max() < 1
    np.testing.assert_array_equal(first, again)


def test_variants_and_languages_are_different_voices() -> None:
    speak = Synthesizer().speak
    voices = [Voice(language, variant) for language in ("en-us", "en") for variant in ("m1", "f2")]
    spoken = [speak(TEXT, voice)[0].tobytes() for voice in voices]
    assert len(set(spoken)) == len(voices)


def test_parameters_change_what_they_name() -> None:
    speak = Synthesizer().speak
    slow, sample_rate = speak(TEXT, Voice(rate=110))
    fast, _ = speak(TEXT, Voice(rate=220))
    assert len(slow) > 1.5 * len(fast)
    low, _ = speak(TEXT, Voice(pitch=20))
    high, _ = speak(TEXT, Voice(pitch=80))
    assert fundamental_hz(high, sample_rate) > 1.2 * fundamental_hz(low, sample_rate)
    quiet, _ = speak(TEXT, Voice(amplitude=50))
    loud, _ = speak(TEXT, Voice(amplitude=100))
    assert np.square(loud).mean() > 2 * np.square(quiet).mean()


def test_longer_text_takes_longer_and_no_text_is_no_speech() -> None:
    speak = Synthesizer().speak
    assert len(speak(f"{TEXT} {TEXT}", Voice())[0]) > 1.7 * len(speak(TEXT, Voice())[0])
    assert np.abs(speak("", Voice())[0]).max(initial=0) == 0


def test_data_below_a_long_path_is_found(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 100) / ("e" * 100)
    folder.mkdir(parents=True)
    link = folder / "espeak-ng-data"
    link.symlink_to(Synthesizer().data_path, target_is_directory=True)
    moved, _ = Synthesizer(data_path=link).speak(TEXT, Voice())
    np.testing.assert_array_equal(moved, Synthesizer().speak(TEXT, Voice())[0])


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpeechError, match=r"cannot be loaded .*none\.so.*pip install"):
        Synthesizer(library_path=tmp_path / "none.so").speak(TEXT, Voice())
    with pytest.raises(ConfigError, match=r"language must be .* but is 'nowhere'"):
        Synthesizer().speak(TEXT, Voice("nowhere"))
    with pytest.raises(ConfigError, match=r"variant must be .* but is 'm99'"):
        Synthesizer().speak(TEXT, Voice(variant="m99"))
    Synthesizer().speak(TEXT, Voice())  # a failure leaves nothing behind


@pytest.mark.parametrize("numbers", [{"pitch": 100}, {"rate": 79}, {"amplitude": -1}])
def test_values_out_of_range_are_refused(numbers: dict[str, int]) -> None:
    ((key, value),) = numbers.items()
    with pytest.raises(ConfigError, match=f"{key} of a voice must be .*, but is {value}"):
        Voice(**numbers)
