"""Hours of a corpus: how many, which, and that more hold what fewer hold."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deepspeech2.config.components import create, group
from deepspeech2.datasets import LibriSpeechCorpus
from deepspeech2.datasets.corpus import nested_hours, select
from deepspeech2.errors import ConfigError
from deepspeech2.types import Utterance
from tests.toy import config

SPEAKERS = 40


def corpus(number: int = 4000) -> list[Utterance]:
    """About ten hours of 1 to 17 s, speaker by speaker as in LibriSpeech."""
    draw = random.Random(1)
    return [
        Utterance(
            f"{index * SPEAKERS // number}-1-{index:04d}",
            Path("a.flac"),
            draw.uniform(1, 17),
            "A",
            speaker=str(index * SPEAKERS // number),
        )
        for index in range(number)
    ]


def hours_of(utterances: tuple[Utterance, ...]) -> float:
    return sum(utterance.duration for utterance in utterances) / 3600


def test_more_hours_hold_what_fewer_hold() -> None:
    items = corpus()
    before: set[str] = set()
    for hours in (0.1, 0.5, 1, 2, 4, 8):
        ids = {utterance.id for utterance in nested_hours(items, hours)}
        assert before < ids
        before = ids


@pytest.mark.parametrize("hours", [0.001, 1, 2, 3.3, 9])
def test_the_total_exceeds_the_hours_by_less_than_an_utterance(hours: float) -> None:
    items = corpus()
    taken = nested_hours(items, hours)
    assert 0 <= 3600 * (hours_of(taken) - hours) < 17


def test_the_order_of_files_changes_nothing_but_the_order() -> None:
    items = corpus()
    shuffled = random.Random(2).sample(items, len(items))
    taken = nested_hours(items, 2)
    assert [item for item in items if item in set(taken)] == list(taken)
    other = nested_hours(shuffled, 2)
    assert set(other) == set(taken)
    assert [item for item in shuffled if item in set(taken)] == list(other)


def test_it_stays_the_same_for_good() -> None:
    """Runs of different years are compared, so the hash may never change: b2sum -l 64."""
    items = [Utterance(f"{index}", Path("a"), 1.0) for index in range(10)]
    order = [nested_hours(items, count / 3600) for count in range(1, 11)]
    steps = zip([(), *order[:-1]], order, strict=True)
    assert "".join((set(more) - set(fewer)).pop().id for fewer, more in steps) == "6240593871"


def test_all_speakers_have_their_share() -> None:
    taken = nested_hours(corpus(), 2)
    counts = [sum(item.speaker == str(speaker) for item in taken) for speaker in range(SPEAKERS)]
    assert min(counts) > 0.4 * len(taken) / SPEAKERS
    assert max(counts) < 1.8 * len(taken) / SPEAKERS


def test_all_that_there_is_may_be_asked_for_and_not_more() -> None:
    items = corpus(100)
    total = hours_of(tuple(items))
    assert nested_hours(items, total) == tuple(items)
    assert nested_hours(items[::-1], total) == tuple(items[::-1])
    most = f"{int(1e4 * total) / 1e4:g}"
    with pytest.raises(ConfigError, match=rf"hours must be at most {most}, .* but is 7: lower"):
        nested_hours(items, 7)
    assert nested_hours(items, float(most))


def test_hours_count_after_the_filters_and_before_the_limit() -> None:
    items = corpus()
    kept, left_out = select(items, hours=1, limit=10, max_audio_length=9)
    short = [item for item in items if item.duration <= 9]
    hour = nested_hours(short, 1)
    assert kept == hour[:10]
    assert [(item.name, item.reason) for item in left_out[-2:]] == [
        (f"{len(short) - len(hour)} utterances", "beyond hours=1"),
        (f"{len(hour) - 10} utterances", "beyond limit=10"),
    ]


@pytest.mark.parametrize("hours", [0, -1, float("nan")])
def test_hours_must_be_positive(hours: float) -> None:
    with pytest.raises(ConfigError, match=f"hours must be positive or null, but is {hours}"):
        select(corpus(10), hours=hours)


@pytest.fixture
def split(tmp_path: Path) -> Path:
    for speaker in (1, 2):
        chapter = tmp_path / f"part/{speaker}/7"
        chapter.mkdir(parents=True)
        names = [f"{speaker}-7-{index:04d}" for index in range(4)]
        for name in names:
            soundfile.write(chapter / f"{name}.flac", np.zeros(16000), 16000)
        lines = "".join(f"{name} WORD\n" for name in names)
        (chapter / f"{speaker}-7.trans.txt").write_text(lines)
    return tmp_path


def test_a_corpus_of_hours(split: Path, tmp_path: Path) -> None:
    found = LibriSpeechCorpus("part", split, hours=5 / 3600, index_dir=tmp_path / "index")
    assert len(found) == 5
    assert found.duration == 5
    assert found.exclusions[-1].name == "3 utterances"


@pytest.mark.parametrize("key", ["datasets.train.hours", "+datasets.train.hours"])
@pytest.mark.parametrize("name", ["librispeech_8h", "mini_librispeech", "an4", "an4_dev", "demo"])
def test_the_command_line_takes_hours(name: str, key: str) -> None:
    assert group(config(name, f"{key}=2"), "datasets")["train"]["hours"] == 2


def test_hours_come_through_the_config(split: Path, tmp_path: Path) -> None:
    changes = ["datasets.train.part=part", f"data_dir={split}", "datasets.train.hours=0.001"]
    node = group(config("librispeech_8h", *changes), "datasets")["train"]
    made = create(node | {"index_dir": str(tmp_path / "index")}, "datasets.train")
    assert len(made) == 4
    with pytest.raises(ConfigError, match=r"hours must be at most 0.0022, .* but is 1:"):
        create(node | {"index_dir": str(tmp_path / "index"), "hours": 1}, "datasets.train")
