"""What the built-in corpus says, and who says it, before anything is spoken."""

from __future__ import annotations

import re
from collections import Counter
from itertools import islice

import pytest

from src.datasets.spoken.grammar import sentences, vocabulary
from src.datasets.spoken.script import LANGUAGES, PARTS, VARIANTS, Line, script, speakers

LINES = list(script())


def lines_of(part: str) -> list[Line]:
    return [line for line in LINES if line.part == part]


def test_the_grammar_has_150_to_300_plain_words_and_uses_all_of_them() -> None:
    assert 150 <= len(vocabulary()) <= 300
    assert all(re.fullmatch(r"[a-z]+('[a-z]+)?", word) for word in vocabulary())
    said = {word for sentence in islice(sentences(0), 2000) for word in sentence.split()}
    assert said == vocabulary()


def test_sentences_depend_on_the_seed_alone_and_never_repeat() -> None:
    first = list(islice(sentences(1), 3000))
    assert first == list(islice(sentences(1), 3000))
    assert len(set(first)) == len(first)
    assert first != list(islice(sentences(2), 3000))


def test_a_script_is_always_the_same() -> None:
    assert list(script()) == LINES


def test_parts_share_neither_sentences_nor_voices() -> None:
    texts = Counter(line.text for line in LINES)
    assert texts.most_common(1)[0][1] == 1
    voices = {part: {line.voice.name for line in lines_of(part)} for part in PARTS}
    assert all(voices.values())
    assert sum(map(len, voices.values())) == len(set.union(*voices.values()))


@pytest.mark.parametrize("part", PARTS)
def test_every_language_and_every_variant_is_heard_in_every_part(part: str) -> None:
    heard = [line.voice for line in lines_of(part)]
    assert {voice.language for voice in heard} == set(LANGUAGES)
    assert {voice.variant for voice in heard} == set(VARIANTS)


def test_training_holds_every_word_several_times() -> None:
    counts = Counter(word for line in lines_of("train") for word in line.text.split())
    assert min(counts[word] for word in vocabulary()) >= 5


def test_speakers_and_ids_are_unique() -> None:
    numbers = [number for cast in speakers().values() for number, _, _ in cast]
    assert len(set(numbers)) == len(numbers) == len(LANGUAGES) * len(VARIANTS)
    assert len({line.id for line in LINES}) == len(LINES)
    assert len({line.seed for line in LINES}) == len(LINES)
    assert len({(line.speaker, line.voice.name) for line in LINES}) == len(numbers)


def test_rates_are_those_of_clear_speech() -> None:
    rates = [line.voice.rate for line in LINES]
    assert 130 <= min(rates) < 145
    assert 175 < max(rates) <= 190
