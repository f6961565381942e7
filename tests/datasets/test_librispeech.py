"""Parts, lists and groups of parts, downloads, and real speech."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

import deepspeech2.datasets.librispeech as librispeech
from deepspeech2.datasets.librispeech import GROUPS, SPLITS, SUBSETS, LibriSpeechCorpus, subset_ids
from deepspeech2.errors import ConfigError, ManifestError


def make_split(folder: Path, speaker: int, count: int = 3) -> Path:
    chapter = folder / f"{speaker}/7"
    chapter.mkdir(parents=True)
    lines = []
    for index in range(count):
        name = f"{speaker}-7-{index:04d}"
        soundfile.write(chapter / f"{name}.flac", np.zeros(1600 * (index + 1)), 16000)
        lines.append(f"{name} {'WORD ' * (index + 1)}\n")
    (chapter / f"{speaker}-7.trans.txt").write_text("".join(lines))
    return folder


@pytest.fixture
def index_dir(tmp_path: Path) -> Path:
    return tmp_path / "index"


@pytest.mark.parametrize("below", ["dev-clean", "LibriSpeech/dev-clean"])
def test_both_places_of_a_split(tmp_path: Path, index_dir: Path, below: str) -> None:
    make_split(tmp_path / "data" / below, 1)
    corpus = LibriSpeechCorpus("dev-clean", tmp_path / "data", index_dir=index_dir)
    assert corpus.name == "dev-clean"
    assert [item.id for item in corpus] == ["1-7-0000", "1-7-0001", "1-7-0002"]
    assert corpus[1].text == "WORD WORD"
    assert corpus[1].audio.is_file()
    assert corpus.duration == pytest.approx(0.6)


def test_a_list_is_joined_and_filtered_as_one(tmp_path: Path, index_dir: Path) -> None:
    make_split(tmp_path / "b", 2)
    make_split(tmp_path / "a", 1)
    corpus = LibriSpeechCorpus(
        ["b", "a"],
        tmp_path,
        limit=3,
        max_audio_length=0.2,
        max_text_length=9,
        index_dir=index_dir,
    )
    assert corpus.name == "b+a"
    assert [item.id for item in corpus] == ["2-7-0000", "2-7-0001", "1-7-0000"]
    assert [item.name for item in corpus.exclusions] == ["2-7-0002", "1-7-0002", "1 utterances"]


def test_a_group_stands_for_its_splits(tmp_path: Path, index_dir: Path) -> None:
    for speaker, split in enumerate(GROUPS["train_all"]):
        make_split(tmp_path / split, speaker)
    corpus = LibriSpeechCorpus("train_all", tmp_path, index_dir=index_dir)
    assert corpus.name == "train_all"
    assert len(corpus) == 9
    assert {split for group in GROUPS.values() for split in group} <= set(SPLITS)


def test_the_same_part_twice_is_refused(tmp_path: Path, index_dir: Path) -> None:
    make_split(tmp_path / "a", 1)
    with pytest.raises(ManifestError, match="contains utterance 1-7-0000 2 times"):
        LibriSpeechCorpus(["a", "a"], tmp_path, index_dir=index_dir)


def test_a_missing_split_is_downloaded_once(
    tmp_path: Path, index_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def fake(split: str, data_dir: Path) -> Path:
        calls.append(split)
        return make_split(data_dir / "LibriSpeech" / split, 1)

    monkeypatch.setattr(librispeech, "download_split", fake)
    for _ in range(2):
        corpus = LibriSpeechCorpus("test-other", tmp_path / "data", index_dir=index_dir)
        assert len(corpus) == 3
    assert calls == ["test-other"]


@pytest.mark.parametrize(
    ("part", "download", "message"),
    [
        ("dev-clena", True, r"dev-clena does not exist .*dev-clean, dev-other.*check part"),
        ("dev-clean", False, r"dev-clean does not exist: set data_dir .* download=true"),
    ],
)
def test_a_missing_part_names_path_and_remedy(
    tmp_path: Path, index_dir: Path, part: str, download: bool, message: str
) -> None:
    with pytest.raises(ManifestError, match=message) as caught:
        LibriSpeechCorpus(part, tmp_path, index_dir=index_dir, download=download)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("part", ["", "../other", "/tmp", []])
def test_parts_outside_of_data_dir_are_refused(
    tmp_path: Path, index_dir: Path, part: str | list[str]
) -> None:
    with pytest.raises(ConfigError, match="part must name"):
        LibriSpeechCorpus(part, tmp_path, index_dir=index_dir)


def test_nothing_left_is_told_with_the_reasons(tmp_path: Path, index_dir: Path) -> None:
    make_split(tmp_path / "a", 1)
    with pytest.raises(ManifestError, match=r"\(a\) contains no usable utterance \(longer .*: 3\)"):
        LibriSpeechCorpus("a", tmp_path, max_audio_length=0.01, index_dir=index_dir)


def test_real_speech(speech_data: Path, index_dir: Path) -> None:
    def load() -> LibriSpeechCorpus:
        return LibriSpeechCorpus(
            "test-clean-35m", speech_data / "LibriSpeech", index_dir=index_dir, download=False
        )

    corpus = load()
    assert len(corpus) == 240
    assert len({item.speaker for item in corpus}) == 8
    assert corpus.duration / 3600 == pytest.approx(0.59, abs=0.005)
    assert corpus.exclusions == ()
    start = time.process_time()
    assert load().utterances == corpus.utterances
    assert time.process_time() - start < 0.5


def test_a_subset_is_picked_from_its_split(
    tmp_path: Path, index_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_split(tmp_path / "LibriSpeech/train-clean-100", 1, count=4)
    (tmp_path / "LibriSpeech/train-clean-100/1/7/1-7-0002.flac").write_bytes(b"")
    wanted = {"train-clean-8h": {"1-7-0001", "1-7-0002"}, "dev-clean-70m": {"1-7-0003"}}
    monkeypatch.setattr(
        "deepspeech2.datasets.librispeech.subset_ids", lambda name: frozenset(wanted[name])
    )
    train = LibriSpeechCorpus("train-clean-8h", tmp_path, index_dir=index_dir)
    assert train.name == "train-clean-8h"
    assert [item.id for item in train] == ["1-7-0001"]
    assert [Path(item.name).stem for item in train.exclusions] == ["1-7-0002"]
    dev = LibriSpeechCorpus("dev-clean-70m", tmp_path, index_dir=index_dir)
    assert [item.id for item in dev] == ["1-7-0003"]
    assert dev.exclusions == ()
    assert len(list(index_dir.iterdir())) == 1

    wanted["dev-clean-70m"].add("9-9-0000")
    with pytest.raises(ManifestError, match=r"lacks 1 of the 2 .* dev-clean-70m \(9-9-0000"):
        LibriSpeechCorpus("dev-clean-70m", tmp_path, index_dir=index_dir)
    make_split(tmp_path / "dev-clean-70m", 5)
    assert len(LibriSpeechCorpus("dev-clean-70m", tmp_path, index_dir=index_dir)) == 3


def test_a_missing_subset_downloads_its_split(
    tmp_path: Path, index_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fake(split: str, data_dir: Path) -> Path:
        assert split == "test-clean"
        return make_split(data_dir / "LibriSpeech" / split, 1)

    monkeypatch.setattr(librispeech, "download_split", fake)
    monkeypatch.setattr(
        "deepspeech2.datasets.librispeech.subset_ids", lambda _: frozenset({"1-7-0001"})
    )
    corpus = LibriSpeechCorpus("test-clean-35m", tmp_path, index_dir=index_dir)
    assert [item.id for item in corpus] == ["1-7-0001"]


@pytest.mark.parametrize("subset", SUBSETS)
def test_the_lists_of_subsets_are_those_of_their_folders(
    speech_data: Path, index_dir: Path, subset: str
) -> None:
    corpus = LibriSpeechCorpus(
        subset, speech_data / "LibriSpeech", index_dir=index_dir, download=False
    )
    assert {item.id for item in corpus} == subset_ids(subset)


def test_subsets_have_no_speaker_in_common() -> None:
    speakers = [{name.split("-")[0] for name in subset_ids(subset)} for subset in SUBSETS]
    assert [len(each) for each in speakers] == [231, 20, 8]
    assert len(set.union(*speakers)) == 231 + 20 + 8
    assert set(SUBSETS.values()) <= set(SPLITS)
