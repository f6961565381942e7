"""Data sets of Hugging Face against the LibriSpeech reader on the same recordings."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest
import torch

from deepspeech2.audio.reading import read_utterance
from deepspeech2.config.loaders import open_loader
from deepspeech2.datasets import Corpus, HuggingFaceCorpus
from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.settings import DataloaderSettings
from tests.datasets.toy_librispeech import librispeech, write_librispeech
from tests.toy import RATE


def one_token(text: str) -> list[int]:
    """In place of an encoder; readers that are not forked are given it by name."""
    return [1]


def test_an_absent_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *given: Any, **named: Any) -> Any:
        if name == "datasets":
            raise ImportError("gone")
        return real(name, *given, **named)

    monkeypatch.setattr(builtins, "__import__", refuse)
    command = r"pip install -r requirements-huggingface\.txt"
    with pytest.raises(ConfigError, match=rf"owner/name needs .*datasets \(gone\): {command}"):
        HuggingFaceCorpus("owner/name")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The real package, without a network."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    return pytest.importorskip("datasets")


@pytest.fixture
def known(tmp_path: Path) -> Corpus:
    write_librispeech(tmp_path / "librispeech")
    return librispeech(tmp_path / "librispeech")


def columns(known: Corpus, *, whole: bool) -> dict[str, list[Any]]:
    """As LibriSpeech on the Hub: of each recording the bytes, or where it is."""
    audio = [
        {
            "bytes": x.audio.read_bytes() if whole else None,
            "path": x.audio.name if whole else str(x.audio),
        }
        for x in known
    ]
    return {
        "file": [x.audio.name for x in known],
        "audio": audio,
        "text": [x.text for x in known],
        "speaker_id": [int(x.speaker or 0) for x in known],
        "id": [x.id for x in known],
    }


def fields(corpus: Corpus) -> list[tuple[Any, ...]]:
    return [(x.id, x.text, x.speaker, x.duration) for x in corpus]


real = pytest.mark.filterwarnings("ignore")  # of the package and what it imports


@real
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("durations", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_the_same_utterances_to_the_bit(
    hub: Any, known: Corpus, tmp_path: Path, whole: bool, durations: bool, workers: int
) -> None:
    given = columns(known, whole=whole)
    if durations:
        given["duration"] = [x.duration for x in known]
    hub.Dataset.from_dict(given).cast_column("audio", hub.Audio()).save_to_disk(tmp_path / "saved")
    corpus = HuggingFaceCorpus(tmp_path / "saved", name="libri")
    assert corpus.name == "libri"
    assert fields(corpus) == fields(known)
    settings = DataloaderSettings(max_batch_duration=3.0, num_workers=workers)
    loader = open_loader(settings, corpus, one_token, RATE, shuffle=False)
    wanted = {each.id: read_utterance(each, RATE) for each in known}
    n_read = 0
    for batch in loader.pass_once():
        assert not batch.failures
        for each, samples, length in zip(
            batch.utterances, batch.waveforms.data, batch.waveforms.lengths, strict=True
        ):
            assert torch.equal(samples[: int(length)], wanted[each.id])
            n_read += 1
    assert n_read == len(known)


@real
def test_parts_parquet_and_named_columns(hub: Any, known: Corpus, tmp_path: Path) -> None:
    given = columns(known, whole=True)
    found = hub.Dataset.from_dict(given).cast_column("audio", hub.Audio(decode=False))
    parts = hub.DatasetDict({"train": found, "validation": found.select([0])})
    parts.save_to_disk(tmp_path / "parts")
    assert len(HuggingFaceCorpus(tmp_path / "parts", part="validation")) == 1
    with pytest.raises(ManifestError, match="parts train, validation, but not test: set part"):
        HuggingFaceCorpus(tmp_path / "parts", part="test")
    with pytest.raises(ManifestError, match="but not None: set part"):
        HuggingFaceCorpus(tmp_path / "parts")

    found = found.rename_columns({"text": "words", "id": "key"})
    (tmp_path / "folder").mkdir()
    file = tmp_path / "folder" / "train.parquet"
    found.to_parquet(file)
    for place in (file, file.parent):
        named = {"text": "words", "id": "key"}
        corpus = HuggingFaceCorpus(place, part="train", columns=named, limit=2)
        assert fields(corpus) == fields(known)[:2]
    with pytest.raises(ManifestError, match=r"no column 'sentence', which columns\.text names"):
        HuggingFaceCorpus(file, part="train", columns={"text": "sentence"})
    with pytest.raises(ConfigError, match=r"columns takes audio, text, .*, but not words"):
        HuggingFaceCorpus(file, part="train", columns={"words": "text"})
    found.remove_columns(["audio", "file"]).save_to_disk(tmp_path / "silent")
    with pytest.raises(ManifestError, match=r"no column of recordings: its columns are words"):
        HuggingFaceCorpus(tmp_path / "silent")
    found.save_to_disk(tmp_path / "one")
    with pytest.raises(ManifestError, match=r"has no parts, but part is 'train': set part=null"):
        HuggingFaceCorpus(tmp_path / "one", part="train")


@real
def test_what_cannot_be_opened_is_one_sentence(hub: Any, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "state.json").write_text("{")
    for path in (str(tmp_path / "broken"), "nobody/nothing"):
        with pytest.raises(ManifestError, match=r"cannot be opened .*: give a folder") as caught:
            HuggingFaceCorpus(path, part="train")
        assert "\n" not in str(caught.value)
