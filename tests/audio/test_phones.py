"""Phones of transcripts: those that eSpeak NG says, whatever else was asked, and cached."""
# ruff: noqa: RUF001

from __future__ import annotations

import random
from pathlib import Path
from unittest.mock import Mock

import pytest

from deepspeech2.audio.phones import PhoneTargets
from deepspeech2.audio.synthesis import Synthesizer
from deepspeech2.errors import ConfigError
from deepspeech2.types import Utterance


def test_phones_of_words_are_those_of_a_dictionary() -> None:
    found = Synthesizer().phones(["church", "hello, see", "", "...", "nineteen"], "en-us")
    assert found == [
        ("tʃ", "ɜː", "tʃ"), ("h", "ə", "l", "oʊ", "s", "iː"), (), (),
        ("n", "aɪ", "n", "t", "iː", "n"),
    ]  # fmt: skip
    (french,) = Synthesizer().phones(["bonjour"], "fr")
    assert french == ("b", "ɔ̃", "ʒ", "u", "ʁ")


def test_a_text_has_the_same_phones_in_any_company() -> None:
    texts = [f"{one} the {other}" for one in ("read", "apple", "live") for other in ("a", "end")]
    expected = dict(zip(texts, Synthesizer().phones(texts, "en-us"), strict=True))
    for seed in range(3):
        random.Random(seed).shuffle(texts)
        found = dict(zip(texts, Synthesizer().phones(texts, "en-us"), strict=True))
        assert found == expected
    assert dict(zip(texts, (Synthesizer().phones([text], "en-us")[0] for text in texts),
                    strict=True)) == expected  # fmt: skip


def test_labels_are_phones_and_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["SEE THE SEA", "THE CHURCH", "see the sea"]
    targets = PhoneTargets(texts, "en-us")
    assert targets.phones == tuple(sorted(targets.phones))
    utterances = [Utterance(str(n), Path("none"), 1.0, text) for n, text in enumerate(texts)]
    nothing = Utterance("none", Path("none"), 1.0)
    labels = targets([*utterances, nothing]).unpad()
    heard = ["".join(targets.phones[label - 1] for label in each) for each in labels]
    assert heard == ["siːðəsiː", "ðətʃɜːtʃ", "siːðəsiː", ""]

    # a second time, and of another rank, nothing is asked for
    monkeypatch.setattr(Synthesizer, "phones", None)
    again = PhoneTargets(reversed(texts), "en-us")
    assert again.phones == targets.phones
    assert again(utterances).data.equal(targets(utterances).data)
    with pytest.raises(TypeError):
        PhoneTargets(texts, "en-gb")


def test_a_cache_that_cannot_be_written_is_done_without(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    full = OSError(28, "No space left on device")
    monkeypatch.setattr("deepspeech2.audio.phones.write_sealed", Mock(side_effect=full))
    assert PhoneTargets(["a full disk"], "en-us").phones
    assert "No space left" in caplog.text


def test_repeated_phones_need_a_frame_more() -> None:
    targets = PhoneTargets(["see", "his sister"], "en-us")
    assert targets.frames(Utterance("a", Path("none"), 1.0, "see")) == 2
    sister = Utterance("b", Path("none"), 1.0, "his sister")
    assert targets.frames(sister) == len(targets([sister]).data[0])
    assert (
        PhoneTargets(["bus stop"], "en-us").frames(Utterance("c", Path("none"), 1.0, "bus stop"))
        == 8
    )


def test_a_language_that_is_none_is_named() -> None:
    with pytest.raises(ConfigError, match="but is 'nowhere'"):
        PhoneTargets(["a"], "nowhere")
