"""Real speech whose places are known becomes a corpus, by the model in the box."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from benchmarks.talks import RATE, Talk, talk, utterances
from deepspeech2.commands.segment import main
from deepspeech2.datasets.librispeech import LibriSpeechCorpus
from deepspeech2.datasets.manifest import ManifestCorpus
from tests.disks import full_disk

pytestmark = pytest.mark.slow

SAID = 25  # utterances, five minutes


@dataclass(frozen=True)
class Made:
    talk: Talk
    folder: Path
    output: Path

    @property
    def rows(self) -> list[dict[str, Any]]:
        lines = (self.output / "segments.jsonl").read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def command(self) -> int:
        audio, text = self.folder / "talk.flac", self.folder / "talk.txt"
        return main([str(audio), str(text), "--output", str(self.output), "--device", "cpu"])


@pytest.fixture(scope="module")
def made(speech_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A talk with 10 % of its sentences dropped, 10 % added, and 5 % of its words changed."""
    spoken = utterances(speech_data / "LibriSpeech" / "train-clean-8h")
    said, others = spoken[100 : 100 + SAID], [text for _, text in spoken[500:]]
    folder = tmp_path_factory.mktemp("talk")
    own = talk(said, others, seed=5, dropped=0.1, added=0.1, changed=0.05)
    soundfile.write(folder / "talk.flac", own.samples, RATE)
    (folder / "talk.txt").write_text(own.text, encoding="utf-8")
    result = Made(own, folder, folder / "corpus")
    assert result.command() == 0
    return result


def places(made: Made) -> list[tuple[dict[str, Any], range]]:
    """Each segment with the words of the text that it has: segments are in the text's order."""
    words = [each.word for each in made.talk.written]
    result, place = [], 0
    for row in made.rows:
        own = row["text"].split()
        place = next(i for i in range(place, len(words)) if words[i : i + len(own)] == own)
        result.append((row, range(place, place + len(own))))
        place += len(own)
    return result


def test_most_of_what_agrees_is_kept_and_little_else(made: Made) -> None:
    written = made.talk.written
    kept = [(row, words) for row, words in places(made) if row["kept"]]
    numbers = [place for _, words in kept for place in words]
    right = sum(each.right for each in written)
    # 86 % here, where words between two wrong ones are few; 93 % of an hour, as the page says
    assert sum(written[place].right for place in numbers) > 0.8 * right
    assert sum(not written[place].right for place in numbers) <= 0.01 * len(numbers)
    for row, words in kept:
        assert 1.0 <= row["duration"] <= 15.0
        # a short word at an edge may be cut off, but none is of another place
        for said in (written[words[0]].said, written[words[-1]].said):
            if said is not None:
                *_, start, last = made.talk.utterances[said[0]]
                assert row["start"] - 0.5 < last / RATE
                assert row["start"] + row["duration"] + 0.5 > start / RATE


def test_the_readers_take_it_as_it_is(made: Made) -> None:
    kept = [row for row in made.rows if row["kept"]]
    by_manifest = list(ManifestCorpus(made.output / "manifest.jsonl"))
    by_layout = list(
        LibriSpeechCorpus(
            made.output.name, made.output.parent, index_dir=made.folder / "index", download=False
        )
    )
    for corpus in (by_manifest, by_layout):
        assert [each.id for each in corpus] == [row["id"] for row in kept]
        assert [each.text for each in corpus] == [row["text"] for row in kept]
        assert {each.speaker for each in corpus} == {"talk"}
        for each, row in zip(corpus, kept, strict=True):
            assert each.duration == pytest.approx(row["duration"], abs=1e-3)
    row = kept[len(kept) // 2]
    samples, rate = soundfile.read(made.output / row["audio_filepath"], dtype="float32")
    assert rate == RATE
    first = round(row["start"] * RATE)
    np.testing.assert_allclose(samples, made.talk.samples[first : first + len(samples)], atol=1e-4)


def test_subtitles_are_in_order(made: Made) -> None:
    text = (made.output / "talk" / "talk" / "talk.srt").read_text("utf-8")
    times = [line.split(" --> ")[0] for line in text.splitlines() if " --> " in line]
    assert len(times) > SAID
    assert times == sorted(times)


def test_a_second_run_keeps_what_is_there(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in made.output.rglob("*.flac")}
    rows = made.rows
    assert made.command() == 0
    assert "is kept" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in made.output.rglob("*.flac")} == before
    assert made.rows == rows


def test_a_full_disk_that_reaches_the_sound_leaves_nothing_half(
    made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sound of a segment is larger than all else that is written before it."""
    output = made.folder / "full"
    with full_disk(20_000):
        assert replace(made, output=output).command() == 2
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert line.startswith("error: ")
    assert ".flac" in line
    assert "File too large" in line
    assert not [path for path in output.rglob("*") if path.is_file()]
    assert replace(made, output=output).command() == 0
    assert len(list(output.rglob("*.flac"))) == sum(row["kept"] for row in made.rows)
