"""Parts of a corpus that has none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deepspeech2.datasets import DirectoryCorpus, ManifestCorpus
from deepspeech2.datasets.corpus import Corpus
from deepspeech2.datasets.split import PARTS, SHARES, Split
from deepspeech2.errors import ConfigError, ManifestError


def manifest(folder: Path, n_speakers: int | None, count: int) -> Path:
    path = folder / "all.jsonl"
    rows = [
        {"audio_filepath": f"{index}.wav", "duration": 1}
        | ({} if n_speakers is None else {"speaker": f"s{index % n_speakers}"})
        for index in range(count)
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def ids(corpus: Corpus) -> set[str]:
    return {item.id for item in corpus}


def test_nobody_is_in_two_parts_and_nothing_is_lost(tmp_path: Path) -> None:
    path = manifest(tmp_path, 200, 1000)
    parts = [ManifestCorpus(path, split=part, shares=(0.6, 0.2, 0.2)) for part in PARTS]
    assert sum(map(len, parts)) == 1000
    assert set().union(*map(ids, parts)) == ids(ManifestCorpus(path))
    speakers = [{item.speaker for item in part} for part in parts]
    assert sum(map(len, speakers)) == 200
    # 200 draws with p = 0.6 deviate by 0.035, and p = 0.2 by 0.028: four times that
    assert [len(part) / 1000 for part in parts] == [
        pytest.approx(0.6, abs=0.14), pytest.approx(0.2, abs=0.12), pytest.approx(0.2, abs=0.12),
    ]  # fmt: skip


def test_more_recordings_move_none(tmp_path: Path) -> None:
    """Nor does another place of the corpus."""
    (tmp_path / "more").mkdir()
    for n_speakers in (50, None):
        few, more = (
            manifest(tmp_path, n_speakers, 300),
            manifest(tmp_path / "more", n_speakers, 900),
        )
        old = {f"{index}" for index in range(300)}
        for part in PARTS:
            before = ids(ManifestCorpus(few, split=part))
            assert before == ids(ManifestCorpus(more, split=part)) & old


def test_a_larger_share_contains_the_smaller_one(tmp_path: Path) -> None:
    path = manifest(tmp_path, None, 500)
    for part in ("val", "test"):
        small = ManifestCorpus(path, split=part)
        large = ManifestCorpus(path, split=part, shares=(0.6, 0.2, 0.2))
        assert ids(small) < ids(large)


def test_a_folder_is_split_and_only_its_part_is_opened(tmp_path: Path) -> None:
    for index in range(40):
        (tmp_path / f"{index % 7}").mkdir(exist_ok=True)
        soundfile.write(tmp_path / f"{index % 7}/{index // 14}.wav", np.zeros(800), 8000)
    whole = DirectoryCorpus(tmp_path)
    parts = [DirectoryCorpus(tmp_path, split=part, shares=(0.5, 0.25, 0.25)) for part in PARTS]
    assert sorted(item for part in parts for item in ids(part)) == sorted(ids(whole))
    for item in whole:
        item.audio.write_bytes(b"broken")
    assert all(
        {each.utterance.id for each in DirectoryCorpus(
            tmp_path, split=name, shares=(0.5, 0.25, 0.25)
        ).exclusions if each.utterance} == ids(part)
        for name, part in zip(PARTS, parts, strict=True)
    )  # fmt: skip


def test_one_speaker(tmp_path: Path) -> None:
    path = manifest(tmp_path, 1, 100)
    with pytest.raises(ManifestError, match=r"is empty .*split_by=recording \(1 speakers\)"):
        [ManifestCorpus(path, split=part) for part in PARTS]
    assert sum(len(ManifestCorpus(path, split=part, split_by="recording")) for part in PARTS) == 100


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("dev",), "split must be one of train, val, test or null, but is 'dev'"),
        (("val", (0.9, 0.2, 0.05)), r"add up to 1, .* is \[0.9, 0.2, 0.05\]"),
        (("val", (0.9, 0.1)), "three numbers"),
        (("val", (1.1, -0.1, 0)), "three numbers"),
        (("val", (0.9, 0, 0.1)), "split=val has a share of 0"),
        (("val", SHARES, "room"), "split_by must be speaker or recording, but is 'room'"),
    ],
)
def test_impossible_splits(options: tuple[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Split(*options)
