"""What the built-in corpus says, and who says it, before anything is spoken."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from itertools import islice

from deepspeech2.datasets.spoken.grammar import sentences, vocabulary
from deepspeech2.datasets.spoken.script import (
    LANGUAGES,
    PARTS,
    VARIANTS,
    VERSION,
    Line,
    script,
    speakers,
)

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


def test_every_language_and_variant_is_learnt() -> None:
    heard = {line.voice.name for line in lines_of("train")}
    for language in LANGUAGES:
        assert sum(name.split("+")[0] == language for name in heard) >= len(VARIANTS) // 2
    for variant in VARIANTS:
        assert sum(name.split("+")[1] == variant for name in heard) >= len(LANGUAGES) // 2
    for part in ("val", "test"):
        assert {line.voice.language for line in lines_of(part)} == set(LANGUAGES)


def test_training_holds_every_word_several_times() -> None:
    counts = Counter(word for line in lines_of("train") for word in line.text.split())
    assert min(counts[word] for word in vocabulary()) >= 10


def test_speakers_and_ids_are_unique() -> None:
    numbers = [number for cast in speakers().values() for number, _, _ in cast]
    assert len(set(numbers)) == len(numbers) == len(LANGUAGES) * len(VARIANTS)
    assert len({line.id for line in LINES}) == len(LINES)
    assert len({line.seed for line in LINES}) == len(LINES)
    assert len({(line.speaker, line.voice.name) for line in LINES}) == len(numbers)


def test_rates_are_those_of_clear_speech() -> None:
    rates = [line.voice.rate for line in LINES]
    assert 130 <= min(rates) < 135
    assert 150 < max(rates) <= 190


def test_a_changed_script_has_a_new_version() -> None:
    digest = hashlib.blake2b(repr(LINES).encode(), digest_size=8).hexdigest()
    assert {VERSION: digest} == {4: "945a4e263a86035e"}
