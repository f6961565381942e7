from __future__ import annotations

import subprocess
import sys
import unicodedata
from collections import Counter
from pathlib import Path
from random import Random
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.text import DEFAULT_ALPHABET, TextEncoder, normalization
from deepspeech2.text.normalization import Normalizer

LETTERS = " abcdefghijklmnopqrstuvwxyz"


def test_sizes() -> None:
    assert TextEncoder().n_tokens == 29
    assert TextEncoder(LETTERS, remove="'").n_tokens == 28
    assert TextEncoder().blank == 0


def test_tokens_follow_the_alphabet() -> None:
    assert TextEncoder().encode(DEFAULT_ALPHABET[1:]) == list(range(2, 29))
    assert TextEncoder().space == 1
    assert TextEncoder("ab").space is None


@given(st.text(DEFAULT_ALPHABET + "ABCXYZ.,-\u2019"))
def test_decode_inverts_encode(text: str) -> None:
    encoder = TextEncoder()
    labels = encoder.encode(text)
    assert encoder.decode(labels) == encoder.normalize(text)
    assert encoder.unknown(text) == set()
    assert 0 not in labels


def test_unknown_characters_are_named() -> None:
    encoder = TextEncoder()
    assert encoder.unknown("Caf\u00e9 7, a") == {"\u00e9", "7"}
    with pytest.raises(ManifestError, match="'7' in 'Route 7' is not in the alphabet"):
        encoder.encode("Route 7")


def test_apostrophe_removed_as_the_short_alphabet_needs_it() -> None:
    encoder = TextEncoder(LETTERS, remove=".,'")
    assert encoder.decode(encoder.encode("Don't.")) == "dont"


@pytest.mark.parametrize("label", [0, -1, 29])
def test_decode_refuses_what_is_no_label(label: int) -> None:
    with pytest.raises(ValueError, match=f"label must be 1 to 28, but is {label}"):
        TextEncoder().decode([1, label])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alphabet": ""}, "alphabet must contain at least one character"),
        ({"alphabet": "aba"}, "alphabet must contain 'a' once"),
        ({"alphabet": "aB"}, "'B' becomes 'b': set text_encoder.case=keep"),
        ({"alphabet": " 'ABC"}, "'A' becomes 'a': set text_encoder.case=upper"),
        ({"alphabet": " abc", "case": "upper"}, "'a' becomes 'A': set text_encoder.case=lower"),
        ({"alphabet": "a."}, "'.' becomes ''"),
        ({"case": "title"}, "case must be one of"),
    ],
)
def test_bad_arguments(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TextEncoder(**arguments)


def test_minimum_frames() -> None:
    encoder = TextEncoder()
    for word, frames in [("", 0), ("a", 1), ("hello", 6), ("aaa", 5), ("bookkeeper", 13)]:
        assert encoder.minimum_frames(encoder.encode(word)) == frames


def test_settings_make_an_equal_encoder() -> None:
    encoder = TextEncoder("xyz ", case="keep", remove=".", to_space="")
    again = TextEncoder(**encoder.settings)
    assert again == encoder
    assert hash(again) == hash(encoder)
    assert again != TextEncoder("xyz ", case="keep", remove="", to_space="")
    assert eval(repr(encoder)) == encoder


def test_needs_no_torch() -> None:
    code = "import sys, deepspeech2.text, deepspeech2.metrics; sys.exit('torch' in sys.modules)"
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


@pytest.mark.parametrize(
    ("alphabet", "text"),
    [
        (unicodedata.normalize("NFD", "aăâbcdđeêếệ "), "bế câ"),  # bases repeat: composed
        ("abceê\u0301 ", "bế ê"),
        ("abce\u0302\u0301\u0323 ", "bế ệ"),
        (unicodedata.normalize("NFD", "한글") + " ", "한 글"),
        ("가각ᆨᆫ ", "각 간"),  # a whole syllable, and one that lacks its last sound
        ("êe\u0323 ", "ệ ê"),  # the marks in another order than the canonical one
        ("ẹe\u0302 ", "ệ ẹ"),
        ("qê\u0323\u0331\u0303 ", "q\u0323\u0303 ệ ê\u0331"),  # also what no code point has
    ],
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_decomposed_alphabet_meets_composed_text(
    alphabet: str, text: str, form: Literal["NFC", "NFD"]
) -> None:
    encoder = TextEncoder(alphabet)
    assert TextEncoder(**encoder.settings) == encoder
    given = unicodedata.normalize(form, text)
    assert not encoder.unknown(given)
    assert encoder.decode(encoder.encode(given)) == text
    assert encoder.unknown(f"{given}ý") == {"ý"}
    with pytest.raises(ManifestError, match="'ý' in"):
        encoder.encode("ý")


LETTER = st.tuples(
    st.sampled_from("aeioq한가"), st.lists(st.sampled_from("\u0302\u0323\u0331\u0303\u031b"))
)


@given(st.lists(LETTER, min_size=1, max_size=4), st.randoms(use_true_random=False), st.data())
def test_canonically_equivalent_texts_get_the_same_labels(
    letters: list[tuple[str, list[str]]], random: Random, data: st.DataObject
) -> None:
    """Whatever parts the alphabet has, as long as they spell the text in some way."""
    text = " ".join(base + "".join(marks) for base, marks in letters)
    composed = unicodedata.normalize("NFC", text)
    parts = set(data.draw(st.sampled_from([composed, unicodedata.normalize("NFD", text)])))
    more = data.draw(
        st.sets(st.sampled_from(sorted({*composed, *unicodedata.normalize("NFD", text)})))
    )
    encoder = TextEncoder("".join(sorted(parts | more | {" "})))
    labels = encoder.encode(text)
    assert encoder.decode(labels) == encoder.normalize(text)
    assert not encoder.unknown(text)
    assert unicodedata.normalize("NFC", encoder.spelled(text)) == encoder.normalize(text)
    for form in ("NFC", "NFD"):
        assert encoder.encode(unicodedata.normalize(form, text)) == labels
    marks = [[base, *random.sample(each, len(each))] for base, each in letters]
    if all(len({unicodedata.combining(mark) for mark in each}) == len(each) for _, each in letters):
        assert encoder.encode(" ".join(map("".join, marks))) == labels


@pytest.mark.parametrize(
    ("language", "text", "said"),
    [
        ("en", "In 1999, he paid $", "in nineteen ninety nine he paid $"),
        ("en", "1,250 at 12.25", "one thousand two hundred and fifty at twelve point two five"),
        ("en", "the 21st of 2 mp3s, 007", "the twenty first of two mp three s seven"),
        ("en", "3.141 and 1,000,000", "three point one four one and one million"),
        ("de", "um 1999 2.000,5", "um neunzehnhundertneunundneunzig zweitausend komma fünf"),
        ("fr", "21 fois", "vingt et un fois"),
        ("ru", "21 раз", "двадцать один раз"),
        ("ar", "٢١", "واحد و عشرون"),
        ("ja", "1999", "千九百九十九"),
    ],
)  # fmt: skip
def test_numbers_are_spelt_out_by_the_rules_of_a_language(
    language: str, text: str, said: str
) -> None:
    pytest.importorskip("num2words")
    normalize = Normalizer(spell_out=language)
    assert normalize(text) == said
    assert normalize(said) == said
    assert not any(character.isdigit() for character in said)


def test_spelling_out_belongs_to_the_alphabet() -> None:
    pytest.importorskip("num2words")
    encoder = TextEncoder(spell_out="en")
    assert TextEncoder(**encoder.settings) == encoder != TextEncoder()
    assert encoder.decode(encoder.encode("Room 101")) == "room one hundred and one"
    assert "spell_out" not in TextEncoder().settings  # older checkpoints have none
    with pytest.raises(ConfigError, match=r"spell_out must be one of .*de, .*, but is 'xx'"):
        TextEncoder(spell_out="xx")


def test_without_the_library_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "num2words", None)
    normalization.speaker.cache_clear()
    with pytest.raises(ConfigError, match="needs num2words: pip install num2words"):
        TextEncoder(spell_out="en")
    normalization.speaker.cache_clear()


def test_what_normalisation_takes_out_is_counted() -> None:
    texts = ["«Well-known», isn't it?", "¿Sí? … yes."]
    assert Normalizer().dropped(texts) == Counter(
        {"«": 1, "»": 1, "-": 1, ",": 1, "?": 2, "¿": 1, "…": 1, ".": 1}
    )
