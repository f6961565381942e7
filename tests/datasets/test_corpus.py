"""Filters, unique ids and the corpus that nothing is left of."""

from __future__ import annotations

import random
from pathlib import Path, PurePath

import pytest

from deepspeech2.datasets.corpus import Corpus, Exclusion, plain_ids, select
from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.types import Utterance


def utterance(name: str, duration: float, text: str | None = "A") -> Utterance:
    return Utterance(name, Path(f"{name}.wav"), duration, text)


def test_limit_counts_after_the_other_filters() -> None:
    items = [
        utterance("long", 9.0),
        utterance("a", 5.0),
        utterance("wordy", 1.0, "ABCDEF"),
        utterance("b", 1.0, None),
        utterance("c", 2.0, "ABC"),
        utterance("d", 2.0),
    ]
    kept, exclusions = select(items, limit=2, max_audio_length=5, max_text_length=3)
    assert [item.id for item in kept] == ["a", "b"]
    assert exclusions == (
        Exclusion("long", "longer than max_audio_length=5 s"),
        Exclusion("wordy", "transcript longer than max_text_length=3"),
        Exclusion("2 utterances", "beyond limit=2"),
    )


def test_without_filters_everything_stays_in_order() -> None:
    items = [utterance(str(index), index + 1.0) for index in range(5)]
    assert select(items) == (tuple(items), ())


@pytest.mark.parametrize("key", ["limit", "max_audio_length", "max_text_length"])
@pytest.mark.parametrize("value", [0, -3])
def test_filters_must_be_positive(key: str, value: int) -> None:
    with pytest.raises(ConfigError, match=f"{key} must be positive or null, but is {value}"):
        select([], **{key: value})  # type: ignore[arg-type]


def test_corpus_is_a_sequence() -> None:
    items = [utterance("a", 1.5), utterance("b", 2.0)]
    corpus = Corpus("two", items)
    assert list(corpus) == items
    assert len(corpus) == 2
    assert corpus[-1] is items[1]
    assert corpus[:1] == (items[0],)
    assert corpus.duration == 3.5


def test_an_empty_corpus_says_why() -> None:
    left_out = [Exclusion(name, "longer than max_audio_length=1 s") for name in "abc"]
    with pytest.raises(
        ManifestError, match=r"data/x contains no usable utterance \(longer than .*: 3\)"
    ):
        Corpus("x", [], left_out, place="data/x")


def test_an_id_that_occurs_twice_is_named() -> None:
    with pytest.raises(ManifestError, match="contains utterance a 2 times: name each part once"):
        Corpus("x", [utterance("a", 1.0), utterance("b", 1.0), utterance("a", 2.0)])


def test_ids_stay_as_they_are_where_they_are_unique() -> None:
    assert plain_ids([("a", PurePath("x/a.wav")), ("b", PurePath("y/b.wav"))]) == ["a", "b"]


def test_colliding_ids_take_their_folders_then_numbers() -> None:
    paths = ["x/y/a.wav", "x-y/a.wav", "z/a.wav", "/abs/a.wav", "../up/a.wav", "x-y-a.wav"]
    candidates = [(PurePath(path).stem, PurePath(path)) for path in paths]
    assert plain_ids(candidates) == ["x-y-a-2", "x-y-a-3", "z-a", "abs-a", "up-a", "x-y-a"]


def test_ids_are_unique_plain_file_names_whatever_comes_in(tmp_path: Path) -> None:
    draw = random.Random(0)
    parts = ["a", "b", "a-b", "..", ".", "", "a/b", "a\\b", "a:b?", "\x00", "ü" * 200, ".hidden"]
    candidates = [
        (draw.choice(parts), PurePath(draw.choice(parts)) / draw.choice(parts)) for _ in range(300)
    ]
    ids = plain_ids(candidates)
    assert ids == plain_ids(candidates)
    assert len(set(ids)) == len(ids)
    for id_ in ids:
        path = tmp_path / f"{id_}.json"
        path.touch()
        assert path.parent == tmp_path
        assert not id_.startswith(".")
