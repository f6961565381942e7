from __future__ import annotations

import pytest

from deepspeech2.decoding import Word, utterance_confidence, words
from deepspeech2.text import TextEncoder
from deepspeech2.types import Hypothesis

ENCODER = TextEncoder()


def hypothesis(text: str, frames: tuple[int, ...], confidences: tuple[float, ...]) -> Hypothesis:
    labels = tuple(ENCODER.encode(text)) if text == text.strip() else ()
    labels = labels or tuple(
        1 if character == " " else ENCODER.encode(character)[0] for character in text
    )
    return Hypothesis(text.strip(), -1.0, labels, frames, confidences)


def test_times_and_confidences() -> None:
    spoken = hypothesis("it is", (3, 5, 6, 10, 14), (0.5, 0.5, 0.1, 1.0, 0.25))
    first, second = words(spoken, 0.02, text_encoder=ENCODER)
    assert (first.word, second.word) == ("it", "is")
    assert (first.start, first.end) == pytest.approx((0.06, 0.12))
    assert (second.start, second.end) == pytest.approx((0.20, 0.30))
    assert (first.confidence, second.confidence) == pytest.approx((0.5, 0.5))


def test_spaces_around_and_in_a_row_make_no_words() -> None:
    spoken = hypothesis(" a  b ", (0, 1, 2, 3, 4, 5), (1.0,) * 6)
    expected = (Word("a", 1.0, 2.0, 1.0), Word("b", 4.0, 5.0, 1.0))
    assert words(spoken, 1.0, text_encoder=ENCODER) == expected


def test_empty() -> None:
    assert words(Hypothesis("", 0.0), 0.02, text_encoder=ENCODER) == ()
    assert words(Hypothesis("", 0.0, (1,), (2,), (0.5,)), 0.02, text_encoder=ENCODER) == ()
    assert utterance_confidence(Hypothesis("", 0.0)) == 0.0


def test_without_a_space_all_is_one_word() -> None:
    encoder = TextEncoder("ab")
    spoken = Hypothesis("ab", 0.0, (1, 2), (0, 1), (0.0, 1.0))
    assert words(spoken, 0.5, text_encoder=encoder) == (Word("ab", 0.0, 1.0, 0.0),)


def test_utterance_confidence_is_the_geometric_mean() -> None:
    spoken = hypothesis("abc", (0, 1, 2), (0.5, 0.25, 0.125))
    assert utterance_confidence(spoken) == pytest.approx(0.25)


def test_parts_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        words(Hypothesis("a", 0.0, (2,), (), ()), 0.02, text_encoder=ENCODER)
