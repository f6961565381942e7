"""Headers of a large corpus are read once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from deepspeech2.audio.reading import probe_all
from deepspeech2.datasets import Corpus, DirectoryCorpus, TableCorpus, durations


@pytest.fixture
def probed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Names of the recordings that are opened, with a cache of the test's own."""
    names: list[str] = []

    def probe(paths: Sequence[Path], **options: Any) -> Any:
        names.extend(path.name for path in paths)
        return probe_all(paths, **options)

    monkeypatch.setattr(durations, "probe_all", probe)
    monkeypatch.setattr(durations, "ENOUGH", 3)
    monkeypatch.setattr(durations, "user_folder", lambda: tmp_path / "cache")
    return names


def record(path: Path, seconds: float) -> None:
    soundfile.write(path, np.zeros(round(16000 * seconds)), 16000)


@pytest.mark.parametrize("reader", ["table", "folder"])
def test_only_new_and_changed_recordings_are_opened(
    tmp_path: Path, probed: list[str], reader: str
) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "all.csv").write_text("audio\n" + "".join(f"{x}.wav\n" for x in "abcde"))
    for name in "abcde":
        record(folder / f"{name}.wav", 0.5)
    (folder / "c.wav").write_bytes(b"no sound")

    def opened() -> Corpus:
        probed.clear()
        return TableCorpus(folder / "all.csv") if reader == "table" else DirectoryCorpus(folder)

    first = opened()
    assert len(probed) == 5
    again = opened()
    assert list(again) == list(first)
    assert again.exclusions == first.exclusions
    assert probed == ["c.wav"]  # what is broken may be mended
    record(folder / "a.wav", 1.5)
    os.utime(folder / "b.wav", ns=(1, 1))
    (folder / "d.wav").unlink()
    assert [x.duration for x in opened()][:2] == [1.5, 0.5]
    assert probed == (
        ["a.wav", "b.wav", "c.wav", "d.wav"] if reader == "table" else ["a.wav", "b.wav", "c.wav"]
    )


def test_a_small_corpus_is_not_kept(
    tmp_path: Path, probed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    record(tmp_path / "a.wav", 0.5)
    DirectoryCorpus(tmp_path / "a.wav")
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_was_damaged_is_made_anew(
    tmp_path: Path, probed: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name in "abc":
        record(folder / f"{name}.wav", 0.5)
    DirectoryCorpus(folder)
    (file,) = (tmp_path / "cache/durations").iterdir()
    file.write_bytes(file.read_bytes().replace(b"0.5", b"9.5"))
    assert [x.duration for x in DirectoryCorpus(folder)] == [0.5] * 3
    assert "made anew" in caplog.text
