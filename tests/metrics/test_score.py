from __future__ import annotations

import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepspeech2.metrics import CorpusScore

sentence = st.lists(st.text("abc\u00e9", min_size=1, max_size=3), max_size=6).map(" ".join)
corpus = st.lists(st.tuples(sentence, sentence), min_size=1, max_size=6)


@settings(max_examples=150)
@given(corpus)
def test_rates_are_those_of_jiwer(pairs: list[tuple[str, str]]) -> None:
    references, hypotheses = map(list, zip(*pairs, strict=True))
    score = CorpusScore.from_pairs(pairs)
    words = jiwer.process_words(references, hypotheses)
    assert score.wer == pytest.approx(words.wer)
    assert score.cer == pytest.approx(jiwer.process_characters(references, hypotheses).cer)
    assert score.words.deletions == words.deletions
    assert score.words.insertions == words.insertions
    mean = sum(jiwer.process_words(*pair).wer for pair in pairs) / len(pairs)
    assert score.mean_utterance_wer == pytest.approx(mean)
    mean = sum(jiwer.process_characters(*pair).cer for pair in pairs) / len(pairs)
    assert score.mean_utterance_cer == pytest.approx(mean)


@given(corpus, corpus)
def test_scores_of_parts_add_up(
    first: list[tuple[str, str]], second: list[tuple[str, str]]
) -> None:
    apart = CorpusScore.from_pairs(first) + CorpusScore.from_pairs(second)
    whole = CorpusScore.from_pairs(first + second)
    assert (apart.words, apart.characters) == (whole.words, whole.characters)
    assert apart.utterances == whole.utterances
    assert apart.mean_utterance_wer == pytest.approx(whole.mean_utterance_wer)


def test_corpus_level_weighs_by_length() -> None:
    score = CorpusScore.from_pairs([("a", "b"), ("a b c d e f g h i", "a b c d e f g h i")])
    assert score.wer == pytest.approx(0.1)
    assert score.mean_utterance_wer == pytest.approx(0.5)


def test_nothing_scored() -> None:
    score = CorpusScore()
    assert (score.wer, score.cer, score.mean_utterance_wer, score.utterances) == (0, 0, 0, 0)
