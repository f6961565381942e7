"""The index agrees with the folder: built, reused, rebuilt, never half written."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile

import deepspeech2.datasets.index as index_module
from deepspeech2.datasets.corpus import Exclusion
from deepspeech2.datasets.folders import walk
from deepspeech2.datasets.index import open_index
from deepspeech2.datasets.librispeech import LibriSpeechCorpus
from deepspeech2.errors import ManifestError
from deepspeech2.types import Utterance
from deepspeech2.user_cache import SEAL, read_sealed, write_sealed


def write(path: Path, seconds: float = 0.5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(round(16000 * seconds)), 16000)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two speakers, three chapters, two audio formats, and faults of every kind."""
    root = tmp_path / "corpus"
    write(root / "1/10/1-10-0000.flac", 0.5)
    write(root / "1/10/1-10-0001.wav", 0.75)
    write(root / "1/11/1-11-0000.ogg", 1.0)
    write(root / "2/20/2-20-0000.flac", 1.25)
    write(root / "2/20/untranscribed.flac")
    write(root / "2/20/._2-20-0000.flac")
    (root / "2/20/2-20-0001.flac").write_text("no audio")
    (root / "2/20/notes.md").write_text("ignored")
    (root / "1/10/1-10.trans.txt").write_bytes(b"\xef\xbb\xbf1-10-0000 ONE TWO\r\n1-10-0001 IT'S\n")
    (root / "1/11/1-11.trans.txt").write_text("1-11-0000  THREE \n\n1-11-0009 LOST\n")
    (root / "2/20/2-20.trans.txt").write_text(
        "2-20-0000 FOUR\n2-20-0001 BROKEN\n2-20-0002\n2-20-0000 AGAIN\n"
    )
    (root / "2/20/bad.trans.txt").write_bytes(b"\xff\xfe\n")
    return root


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one for each scan."""
    made: list[int] = []
    scan: Callable[..., object] = index_module._scan

    def counted(*args: object) -> object:
        made.append(1)
        return scan(*args)

    monkeypatch.setattr(index_module, "_scan", counted)
    return made


def test_what_is_found_and_what_is_left_out(root: Path, tmp_path: Path) -> None:
    utterances, exclusions = open_index(root, tmp_path / "index", "part")
    found = [(item.id, item.duration, item.text, item.speaker) for item in utterances]
    assert found == [
        ("1-10-0000", 0.5, "ONE TWO", "1"),
        ("1-10-0001", 0.75, "IT'S", "1"),
        ("1-11-0000", 1.0, "THREE", "1"),
        ("2-20-0000", 1.25, "FOUR", "2"),
    ]
    assert utterances[2].audio == root / "1/11/1-11-0000.ogg"
    broken = Utterance("2-20-0001", root / "2/20/2-20-0001.flac", 0.0, text="BROKEN", speaker="2")
    assert set(exclusions) == {
        Exclusion("1 file or folder", "the name begins with a dot"),
        Exclusion("1-11-0009", "no audio beside its transcript"),
        Exclusion("2/20/2-20.trans.txt:3", "the line contains no transcript"),
        Exclusion("2/20/2-20.trans.txt:4", "transcribed a second time"),
        Exclusion("2/20/bad.trans.txt", "the transcript file is not UTF-8"),
        Exclusion("2/20/untranscribed.flac", "no transcript of its own"),
        Exclusion("2/20/2-20-0001.flac", "is no audio that libsndfile or FFmpeg can read", broken),
    }


def test_a_later_start_reads_the_index(root: Path, tmp_path: Path, scans: list[int]) -> None:
    first = open_index(root, tmp_path / "index", "part")
    assert open_index(root, tmp_path / "index", "part") == first
    assert len(scans) == 1
    (file,) = (tmp_path / "index").iterdir()
    header, *rows = [json.loads(line) for line in (read_sealed(file) or b"").splitlines()]
    assert header["root"] == str(root)
    assert len(rows) == 10
    assert not any(str(root) in json.dumps(row) for row in rows)


@pytest.mark.parametrize("change", ["new", "gone", "longer", "text", "touched"])
def test_a_change_below_the_folder_is_noticed(
    root: Path, tmp_path: Path, scans: list[int], change: str
) -> None:
    before, _ = open_index(root, tmp_path / "index", "part")
    audio, transcript = root / "1/10/1-10-0000.flac", root / "1/10/1-10.trans.txt"
    if change == "new":
        write(root / "3/30/3-30-0000.flac")
    elif change == "gone":
        audio.unlink()
    elif change == "longer":
        write(audio, 3.0)
    elif change == "text":
        transcript.write_text("1-10-0000 OTHER\n")
    else:
        os.utime(audio, (1, 1))
    after, _ = open_index(root, tmp_path / "index", "part")
    assert len(scans) == 2
    assert (after == before) is (change in ("new", "touched"))


@pytest.mark.parametrize(
    "damage", ["cut", "empty", "other", "planted", "text", "way out", "version"]
)
def test_a_damaged_index_is_built_anew(
    root: Path, tmp_path: Path, scans: list[int], damage: str
) -> None:
    expected = open_index(root, tmp_path / "index", "part")
    (file,) = (tmp_path / "index").iterdir()
    whole = file.read_bytes()
    text = whole[SEAL:]
    broken = {
        "cut": whole[: whole.rfind(b"\n", 0, -1) + 1],
        "empty": b"",
        "other": b"[1]\n",
        "planted": text.replace(b"ONE TWO", b"ONE ONE"),
        "text": whole.replace(b"ONE TWO", b"ONE ONE"),
        "way out": whole.replace(b"1/10/1-10-0000.flac", b"/../../etc/hostname"),
    }
    if damage == "version":
        write_sealed(file, text.replace(b'"version": 3', b'"version": 2'))
    else:
        file.write_bytes(broken[damage])
    assert open_index(root, tmp_path / "index", "part") == expected
    assert len(scans) == 2
    assert file.read_bytes() == whole


def test_several_at_once_agree_and_leave_one_file(root: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: open_index(root, tmp_path / "index", "part"), range(16)))
    assert all(result == results[0] for result in results)
    assert len(list((tmp_path / "index").iterdir())) == 1


def test_nothing_is_written_into_the_corpus(root: Path, tmp_path: Path) -> None:
    before = sorted(root.rglob("*"))
    open_index(root, tmp_path / "index", "a/b c")
    assert sorted(root.rglob("*")) == before
    assert len(list((tmp_path / "index").iterdir())) == 1


def test_two_folders_of_one_name_have_two_indexes(root: Path, tmp_path: Path) -> None:
    write(tmp_path / "other/5/50/5-50-0000.flac")
    (tmp_path / "other/5/50/5-50.trans.txt").write_text("5-50-0000 FIVE\n")
    open_index(root, tmp_path / "index", "part")
    utterances, _ = open_index(tmp_path / "other", tmp_path / "index", "part")
    assert [item.text for item in utterances] == ["FIVE"]
    assert len(list((tmp_path / "index").iterdir())) == 2


def test_a_folder_without_transcripts_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "plain/a.wav")
    with pytest.raises(ManifestError, match=r"contains no \*\.trans\.txt"):
        open_index(tmp_path / "plain", tmp_path / "index", "part")


def test_an_index_that_cannot_be_written_is_told(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ManifestError, match=r"cannot be written .*: set index_dir"):
        open_index(root, tmp_path / "file", "part")


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    write(tmp_path / "real/a.wav")
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus/linked").symlink_to(tmp_path / "real")
    (tmp_path / "real/back").symlink_to(tmp_path / "corpus")
    audio = [
        folder.relative + name for folder in walk(tmp_path / "corpus") for name in folder.audio
    ]
    assert audio == ["linked/a.wav"]


def test_ids_that_collide_between_chapters_become_unique(tmp_path: Path) -> None:
    for speaker in ("x", "y"):
        write(tmp_path / f"corpus/{speaker}/1/0000.flac")
        (tmp_path / f"corpus/{speaker}/1/a.trans.txt").write_text(f"0000 {speaker}\n")
    utterances, _ = open_index(tmp_path / "corpus", tmp_path / "index", "part")
    assert [(item.id, item.text) for item in utterances] == [("x-1-0000", "x"), ("y-1-0000", "y")]


def test_reading_a_large_index_is_quick(root: Path, tmp_path: Path) -> None:
    """28,000 utterances, a tenth of LibriSpeech, whose index is to be read in a few seconds."""
    open_index(root, tmp_path / "index", "part")
    (file,) = (tmp_path / "index").iterdir()
    header, *rows = (read_sealed(file) or b"").splitlines(keepends=True)
    write_sealed(file, b"".join((header, *rows[:4] * 7000)))
    start = time.process_time()
    utterances, _ = open_index(root, tmp_path / "index", "part")
    assert len(utterances) == 28000
    assert time.process_time() - start < 2.0


@pytest.mark.parametrize("planted", ["pipe", "link"])
def test_a_planted_index_is_neither_read_nor_waited_for(
    root: Path, tmp_path: Path, planted: str
) -> None:
    expected = open_index(root, tmp_path / "index", "a")
    (file,) = (tmp_path / "index").glob("*.jsonl")
    whole = file.read_bytes()
    (tmp_path / "mine").write_bytes(b"mine")
    file.unlink()
    if planted == "pipe":
        os.mkfifo(file)
    else:
        file.symlink_to(tmp_path / "mine")
    assert open_index(root, tmp_path / "index", "a") == expected
    assert file.read_bytes() == whole
    assert (tmp_path / "mine").read_bytes() == b"mine"


def test_indexes_lie_in_the_users_folder(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("deepspeech2.datasets.librispeech.user_folder", lambda: tmp_path / "cache")
    LibriSpeechCorpus("corpus", root.parent)
    assert len(list((tmp_path / "cache/index").iterdir())) == 1
