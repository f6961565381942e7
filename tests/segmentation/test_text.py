"""Texts in words that can be aligned."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.extras.segmentation.cutting import JOINED, NOTHING, UNREADABLE
from deepspeech2.extras.segmentation.text import read_text, script
from deepspeech2.text import TextEncoder


def test_words_remember_how_they_are_written() -> None:
    found = script("“Well-known,” said he — and left.", TextEncoder())
    assert found.words == ("well", "known", "said", "he", "and", "left")
    assert found.breaks.tolist() == [NOTHING, JOINED, *[NOTHING] * 4]
    assert found.written(0, 4) == "“Well-known,” said he"
    assert found.written(4, 6) == "and left."


def test_what_is_outside_the_alphabet_is_passed_over_unless_it_is_spelt_out() -> None:
    text = "in 1999 we left"
    found = script(text, TextEncoder())
    assert found.words == ("in", "we", "left")
    assert found.breaks.tolist() == [NOTHING, UNREADABLE, NOTHING]
    assert found.unreadable == ("1999",)
    pytest.importorskip("num2words")
    spelled = script(text, TextEncoder(), "en")
    assert spelled.words == ("in", "nineteen", "ninety", "nine", "we", "left")
    assert spelled.breaks.tolist() == [NOTHING, NOTHING, JOINED, JOINED, NOTHING, NOTHING]
    assert spelled.written(0, 4) == "in 1999"


def test_other_letters_are_aligned_by_those_of_the_model_and_stay_as_they_are() -> None:
    pytest.importorskip("anyascii")
    found = script("«Größe», Привет мир! l\u2019été 北京 7", TextEncoder(), transliterate=True)
    assert found.words == ("grosse", "privet", "mir", "l'ete", "beijing")
    assert found.text(0, 5) == "größe привет мир l'été 北京"
    assert found.written(0, 3) == "«Größe», Привет мир!"
    assert found.unreadable == ("7",)
    plain = script("Größe Well-known", TextEncoder())
    assert (plain.words, plain.texts) == (("well", "known"), ("well", "known"))
    assert plain.unreadable == ("Größe",)


def test_a_word_that_becomes_several_is_not_divided() -> None:
    pytest.importorskip("anyascii")
    found = script("a ½ b", TextEncoder(" 'abcdefghijklmnopqrstuvwxyz/12"), transliterate=True)
    assert found.text(0, len(found.words)).split()[0] == "a"
    assert len(found.words) == len(found.texts) == len(found.breaks)


def test_transliteration_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anyascii", None)
    with pytest.raises(ConfigError, match="needs anyascii: pip install anyascii"):
        script("Größe", TextEncoder(), transliterate=True)


SRT = """1
00:00:01,000 --> 00:00:02,500
<i>Good evening,</i>
ladies

2
00:00:03,000 --> 00:00:04,000
and 7 gentlemen
"""
VTT = "WEBVTT\n\nNOTE made by hand\n\n00:01.000 --> 00:02.000 align:start\n<v Ann>Good evening\n"


@pytest.mark.parametrize(
    ("name", "content", "expected", "times"),
    [
        ("a.txt", "\ufeffGood evening\n\n1\n", "Good evening 1", None),
        (
            "a.srt", SRT, "Good evening, ladies and 7 gentlemen",
            [[1.0, 2.5]] * 3 + [[3.0, 4.0]] * 3,
        ),
        ("a.vtt", VTT, "Good evening", [[1.0, 2.0]] * 2),
        ("a.vtt", "WEBVTT\n\n1:00:01.5 --> 1:00:02.000\n7 men", "7 men", [[3601.5, 3602.0]] * 2),
        ("a.srt", "nothing", "", []),
    ],
)  # fmt: skip
def test_files(
    tmp_path: Path, name: str, content: str, expected: str, times: list[list[float]] | None
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    text, shown = read_text(tmp_path / name)
    assert " ".join(text.split()) == expected
    assert (None if shown is None else shown.tolist()) == times
    if shown is not None:
        found = script(text, TextEncoder(), shown=shown)
        assert found.shown is not None
        assert found.shown.tolist() == [
            each for each, word in zip(times or [], text.split(), strict=True) if word != "7"
        ]


def test_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("café".encode("latin-1"))
    with pytest.raises(ManifestError, match="not UTF-8"):
        read_text(tmp_path / "a.txt")
