"""Data sets of torch and of others as corpora."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch.utils.data import Dataset

from deepspeech2.audio.reading import read_utterance
from deepspeech2.config.loaders import corpora, open_loader
from deepspeech2.datasets import ItemCorpus, SpeechDataset
from deepspeech2.errors import AudioError, ConfigError, ManifestError
from deepspeech2.settings import DataloaderSettings
from tests.datasets.toy_librispeech import librispeech, write_librispeech
from tests.toy import RATE

SOUND = torch.linspace(-0.5, 0.5, 8000)


def one_token(text: str) -> list[int]:
    """In place of an encoder; readers that are not forked are given it by name."""
    return [1]


class Speech(Dataset[dict[str, Any]]):
    """Two utterances of half a second and more."""

    def __init__(self, n_items: int = 2) -> None:
        self.n_items = n_items

    def __len__(self) -> int:
        return self.n_items

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"audio": SOUND * (1 + index / 10), "sample_rate": RATE, "text": f"text {index}"}


class Described(Speech):
    def __getitem__(self, index: int) -> dict[str, Any]:
        raise RuntimeError("the disk is gone\nand more")

    def describe(self, index: int) -> dict[str, Any]:
        return {"duration": 0.5, "text": "yes", "speaker": 7, "id": f"u{index}"}


def flac(samples: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="FLAC")
    return file.getvalue()


@pytest.mark.parametrize("cache", ["none", "disk"])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_dataset_of_tensors_by_its_target(tmp_path: Path, workers: int, cache: Any) -> None:
    (corpus,) = corpora({"train": {"_target_": f"{__name__}.Speech", "n_items": 5}}).values()
    assert [(x.id, x.duration, x.text) for x in corpus][:2] == [
        ("000000", 0.5, "text 0"),
        ("000001", 0.5, "text 1"),
    ]
    settings = DataloaderSettings(
        max_batch_duration=1.0, num_workers=workers, cache=cache, cache_dir=str(tmp_path)
    )
    loader = open_loader(settings, corpus, one_token, RATE, shuffle=False)
    batches = list(loader.pass_once())
    found = {
        utterance.id: waveform
        for each in batches
        for utterance, waveform in zip(each.utterances, each.waveforms.data, strict=True)
    }
    assert len(found) == 5
    for index in range(5):
        wanted = SOUND * (1 + index / 10)
        torch.testing.assert_close(found[f"{index:06d}"], wanted, rtol=0, atol=2**-15)
    assert not any(each.failures for each in batches)


def test_another_process_that_is_not_forked(tmp_path: Path) -> None:
    dataset = SpeechDataset(tuple(ItemCorpus(Speech())), str.encode)
    (tmp_path / "dataset").write_bytes(pickle.dumps(dataset))
    script = "import pickle, sys; print(pickle.load(open(sys.argv[1], 'rb'))[1].waveform.max())"
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "dataset")],
        capture_output=True, text=True, cwd=root, check=False,
        env={"PYTHONPATH": f"{root}:{root / 'src'}"},
    )  # fmt: skip
    assert "tensor(0.55" in ended.stdout, ended.stderr


def test_librispeech_as_items_of_every_kind(tmp_path: Path) -> None:
    write_librispeech(tmp_path)
    known = librispeech(tmp_path)
    samples = [soundfile.read(x.audio, dtype="float32")[0] for x in known]
    kinds: list[list[Any]] = [
        [{"audio": str(x.audio), "text": x.text} for x in known],
        [{"path": x.audio, "sentence": x.text} for x in known],
        [(torch.tensor(y)[None], RATE, x.text, 84) for x, y in zip(known, samples, strict=True)],
        [{"audio": flac(y), "text": x.text} for x, y in zip(known, samples, strict=True)],
        [
            {"audio": {"bytes": flac(y), "path": "a.flac"}, "text": x.text, "path": "a"}
            for x, y in zip(known, samples, strict=True)
        ],
        [
            {"audio": {"array": y, "sampling_rate": RATE, "path": None}, "text": x.text}
            for x, y in zip(known, samples, strict=True)
        ],
    ]
    for items in kinds:
        corpus = ItemCorpus(items)
        assert [(x.text, x.duration) for x in corpus] == [(x.text, x.duration) for x in known]
        for ours, theirs in zip(corpus, known, strict=True):
            assert torch.equal(read_utterance(ours, RATE), read_utterance(theirs, RATE))


def test_items_that_describe_themselves_are_not_read() -> None:
    corpus = ItemCorpus(Described(), limit=1, name="mine")
    (only,) = corpus
    assert (corpus.name, only.id, only.duration, only.speaker) == ("mine", "u0", 0.5, "7")
    with pytest.raises(AudioError, match=r"cannot be read: RuntimeError: the disk is gone$"):
        read_utterance(only, RATE)
    dataset = SpeechDataset(corpus, one_token)
    assert "the disk is gone" in dataset[0].reason  # type: ignore[union-attr]


def test_wrong_items_are_named() -> None:
    good = {"audio": SOUND, "sample_rate": RATE, "text": "yes"}
    bad = [
        ({**good, "sample_rate": 0}, "sample_rate must be a positive number of Hz, but is 0"),
        ({**good, "audio": SOUND.int()}, "audio must be floats in [-1, 1] of the shape (S,) or"),
        ({**good, "text": 5}, "text must be a string, but is 5"),
        ({"text": "yes"}, "has no audio, its keys are text"),
        ({"audio": b"noise", "text": "yes"}, "is no audio that"),
        ([SOUND], "must be a dict with audio and text, or (audio, sample_rate, text), but is a"),
    ]
    items = [each for each, _ in bad] + [good] * len(bad)
    corpus = ItemCorpus(items)
    assert len(corpus) == len(bad)
    for index, (fault, (_, reason)) in enumerate(zip(corpus.exclusions, bad, strict=True)):
        assert fault.name.endswith(f"item {index}")
        assert reason in fault.reason, fault.reason
    with pytest.raises(ManifestError, match="is no data set of speech: 6 of 6 items are wrong"):
        ItemCorpus([each for each, _ in bad])


def test_what_is_no_data_set() -> None:
    with pytest.raises(ConfigError, match="items must be a data set with a length"):
        ItemCorpus(iter([]))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"datasets\.train must be a corpus, or a Dataset"):
        corpora({"train": {"_target_": "torch.nn.Identity"}})
