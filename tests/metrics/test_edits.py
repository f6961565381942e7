from __future__ import annotations

import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepspeech2.metrics import EditCounts, character_edits, word_edits

# Words of few letters, so that pairs share some of them.
word = st.text("ab\u00e9\u6f22'", min_size=1, max_size=3)
sentence = st.lists(word, max_size=8).map(" ".join)


def as_tuple(counts: EditCounts) -> tuple[int, int, int, float]:
    return counts.substitutions, counts.deletions, counts.insertions, counts.rate


@settings(max_examples=300)
@given(sentence, sentence)
def test_counts_are_those_of_jiwer(reference: str, hypothesis: str) -> None:
    words = jiwer.process_words(reference, hypothesis)
    expected = words.substitutions, words.deletions, words.insertions, words.wer
    assert as_tuple(word_edits(reference, hypothesis)) == pytest.approx(expected)
    characters = jiwer.process_characters(reference, hypothesis)
    expected = (
        characters.substitutions,
        characters.deletions,
        characters.insertions,
        characters.cer,
    )
    assert as_tuple(character_edits(reference, hypothesis)) == pytest.approx(expected)


@given(sentence, sentence)
def test_lengths_balance(reference: str, hypothesis: str) -> None:
    counts = word_edits(reference, hypothesis)
    assert counts.reference == len(reference.split())
    assert counts.reference + counts.insertions - counts.deletions == len(hypothesis.split())
    assert (counts.errors == 0) == (reference == hypothesis)


def test_empty_references() -> None:
    assert word_edits("", "").rate == 0.0
    assert word_edits("", "two words").rate == 2.0
    assert word_edits("two words", "") == EditCounts(deletions=2, reference=2)


def test_counts_add_up() -> None:
    total = EditCounts(1, 2, 3, 10) + EditCounts(10, 20, 30, 90)
    assert total == EditCounts(11, 22, 33, 100)
    assert total.errors == 66
    assert total.rate == 0.66
