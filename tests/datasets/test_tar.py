"""Tar shards as WebDataset writes them, written here in small."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from deepspeech2.audio.reading import read_utterance
from deepspeech2.config.loaders import open_loader
from deepspeech2.datasets import TarCorpus
from deepspeech2.errors import AudioError, ManifestError
from deepspeech2.settings import DataloaderSettings
from tests.datasets.toy_librispeech import librispeech, write_librispeech
from tests.toy import RATE


def one_token(text: str) -> list[int]:
    """In place of an encoder; readers that are not forked are given it by name."""
    return [1]


def sound(seconds: float = 0.5, kind: str = "FLAC") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, 0.5 * np.ones(round(seconds * RATE)), RATE, format=kind)
    return file.getvalue()


def shard(path: Path, members: Mapping[str, bytes | str]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            data = content.encode() if isinstance(content, str) else content
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def open_tars(folder: Path, shards: str | list[str] = "*.tar") -> TarCorpus:
    return TarCorpus(shards, folder, folder / "index")


def test_recordings_with_texts_and_with_json(tmp_path: Path) -> None:
    fields = {"text": "no", "speaker": 7, "id": "u2", "lang": "en"}
    shard(
        tmp_path / "a-0.tar",
        {
            "x/0001.flac": sound(), "x/0001.txt": "yes \n",
            "x/0002.json": json.dumps(fields), "x/0002.wav": sound(1.0, "WAV"),
            "x/._0003.wav": "of a Mac",
        },
    )  # fmt: skip
    shard(tmp_path / "a-1.tar", {"y.v1.ogg": sound(1.0, "OGG"), "y.v1.txt": "well"})
    corpus = open_tars(tmp_path)
    assert [(x.id, x.duration, x.text, x.speaker) for x in corpus] == [
        ("x-0001", 0.5, "yes", None),
        ("u2", 1.0, "no", "7"),
        ("y", 1.0, "well", None),
    ]
    assert not corpus.exclusions
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a-0.tar", "a-1.tar", "index"]
    for shards in ("a-{0..1}.tar", ".", ["a-0.tar", "a-1.tar"]):
        assert list(open_tars(tmp_path, shards)) == list(corpus)


@pytest.mark.parametrize("workers", [0, 2])
def test_librispeech_from_shards(tmp_path: Path, workers: int) -> None:
    write_librispeech(tmp_path)
    known = librispeech(tmp_path)
    for number in range(2):
        members: dict[str, bytes | str] = {}
        for each in known[number::2]:
            members[f"{each.id}.flac"] = each.audio.read_bytes()
            members[f"{each.id}.json"] = json.dumps({"text": each.text, "speaker": each.speaker})
        shard(tmp_path / f"{number}.tar", members)
    corpus = open_tars(tmp_path)
    assert {(x.id, x.text, x.speaker, x.duration) for x in corpus} == {
        (x.id, x.text, x.speaker, x.duration) for x in known
    }
    settings = DataloaderSettings(max_batch_duration=1.0, num_workers=workers)
    loader = open_loader(settings, corpus, one_token, RATE, shuffle=False)
    found = {
        utterance.id: waveform
        for batch in loader.pass_once()
        for utterance, waveform in zip(batch.utterances, batch.waveforms.unpad(), strict=True)
    }
    for each in known:
        assert torch.equal(found[each.id], read_utterance(each, RATE))


def test_the_index_is_made_once_and_again_for_a_changed_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shard(tmp_path / "a.tar", {"1.flac": sound(), "1.txt": "yes"})
    first = open_tars(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr("deepspeech2.datasets.tar._scan", lambda file: pytest.fail("read again"))
        assert list(open_tars(tmp_path)) == list(first)
    shard(path, {"1.flac": sound(), "1.txt": "nay"})
    os.utime(path, ns=(1, 1))
    assert [x.text for x in open_tars(tmp_path)] == ["nay"]


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    good: dict[str, bytes | str] = {"good.flac": sound(), "good.txt": "yes"}
    shard(
        tmp_path / "a.tar",
        {
            **good, "two.flac": sound(), "two.wav": sound(), "none.txt": "yes",
            "noise.flac": "noise", "noise.txt": "yes", "list.flac": sound(), "list.json": "[1]",
            "five.flac": sound(), "five.json": '{"text": 5}', "latin.flac": sound(),
            "latin.txt": b"\xff",
        },
    )  # fmt: skip
    corpus = open_tars(tmp_path)
    assert [x.id for x in corpus] == ["good"]
    assert [(each.name, each.reason) for each in corpus.exclusions] == [
        ("a.tar, two", "must have one recording and KEY.txt or KEY.json, but has .flac, .wav"),
        ("a.tar, none", "must have one recording and KEY.txt or KEY.json, but has .txt"),
        ("a.tar, noise", "is no audio that libsndfile or FFmpeg can read"),
        ("a.tar, list", "KEY.json is no JSON object"),
        ("a.tar, five", "text must be a string, but is 5"),
        ("a.tar, latin", "latin.txt is not UTF-8"),
    ]


def test_shards_that_are_cut_off_packed_or_missing(tmp_path: Path) -> None:
    good: dict[str, bytes | str] = {"1.flac": sound(), "1.txt": "yes", "2.flac": sound(9.0)}
    path = shard(tmp_path / "a.tar", good)
    whole = path.read_bytes()
    (utterance, _) = open_tars(tmp_path)
    path.write_bytes(whole[: utterance_end(whole) + 100])
    corpus = open_tars(tmp_path)
    assert [x.id for x in corpus] == ["1"]
    assert "damaged or no tar file" in corpus.exclusions[0].reason
    path.write_bytes(whole[:600])
    with pytest.raises(AudioError, match=r"1\.flac is missing: .*a\.tar ends before it"):
        read_utterance(utterance, RATE)
    with pytest.raises(ManifestError, match="contains no usable utterance"):
        open_tars(tmp_path)
    (tmp_path / "a.tar.gz").touch()
    with pytest.raises(ManifestError, match=r"a\.tar\.gz is no plain \.tar"):
        open_tars(tmp_path, "a.tar.gz")
    with pytest.raises(ManifestError, match="is neither a tar file nor a folder of them"):
        open_tars(tmp_path, "b-{0..1}.tar")


def utterance_end(whole: bytes) -> int:
    """Where the header of the last recording ends."""
    return whole.index(b"2.flac") + 512
