"""The built-in corpus on disk: complete or not there, and the same every time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deepspeech2.audio.synthesis import Synthesizer
from deepspeech2.datasets import spoken as recording
from deepspeech2.datasets.spoken import MARK, SpokenCorpus, ensure_corpus, record, render
from deepspeech2.datasets.spoken.script import PARTS, Line, script
from deepspeech2.errors import ConfigError, SpeechError
from tests.disks import remains

LINES = list(script())
FEW = [line for part in PARTS for line in LINES if line.part == part and line.number < 2][::11]


@pytest.fixture
def few_lines(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Make the corpus small; the list counts how often it is spoken."""
    calls: list[int] = []

    def few() -> Iterator[Line]:
        calls.append(1)
        return iter(FEW)

    monkeypatch.setattr(recording, "script", few)
    return calls


def files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_what_is_spoken_is_audible_unclipped_and_long_enough() -> None:
    for line in LINES[::19]:
        samples = render(line) / 32768
        speech_seconds = len(samples) / 16000 - sum(line.silence)
        letters = len(line.text.replace(" ", ""))
        assert 7 < letters / speech_seconds < 24, line
        peak_db = 20 * np.log10(np.abs(samples).max())
        assert peak_db == pytest.approx(line.peak_db, abs=0.1)
        assert peak_db < -1
        before, after = (round(seconds * 16000) for seconds in line.silence)
        inside = samples[before : len(samples) - after]
        outside = np.concatenate([samples[:before], samples[len(samples) - after :]])
        assert np.sqrt(np.square(inside).mean()) > 5 * np.sqrt(np.square(outside).mean())
        noise_db = 10 * np.log10(np.square(outside).mean()) - line.peak_db
        assert noise_db == pytest.approx(line.noise_db, abs=1)


def test_any_number_of_processes_writes_the_same_files(tmp_path: Path) -> None:
    record(FEW, tmp_path / "one", n_workers=1)
    record(FEW, tmp_path / "two", n_workers=2)
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_the_layout_is_librispeech_s(tmp_path: Path) -> None:
    record(FEW, tmp_path / "spoken", n_workers=1)
    found = files(tmp_path / "spoken")
    transcripts = [name for name in found if name.endswith(".trans.txt")]
    rows = [row.split(" ", 1) for name in transcripts for row in found[name].decode().splitlines()]
    assert dict(rows) == {line.id: line.text.upper() for line in FEW}
    for line in FEW:
        speaker, chapter, _ = line.id.split("-")
        path = tmp_path / "spoken" / line.part / speaker / chapter / f"{line.id}.flac"
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
        np.testing.assert_array_equal(soundfile.read(path, dtype="int16")[0], render(line))
    assert len(found) == len(FEW) + len(transcripts)


def test_it_is_spoken_once_whoever_asks(tmp_path: Path, few_lines: list[int]) -> None:
    data_dir = tmp_path / "data" / "spoken"
    threads = [
        threading.Thread(target=ensure_corpus, args=(data_dir,), kwargs={"n_workers": 1})
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(few_lines) == 1
    before = files(data_dir)
    ensure_corpus(data_dir)
    assert files(data_dir) == before
    assert len(few_lines) == 1
    assert {path.name for path in data_dir.parent.iterdir()} == {"spoken", ".spoken.lock"}


@pytest.mark.usefixtures("few_lines")
def test_what_a_killed_process_left_is_not_taken_for_whole(tmp_path: Path) -> None:
    data_dir = tmp_path / "spoken"
    left = remains(data_dir)
    (left / "train").mkdir(parents=True)
    data_dir.mkdir()
    ensure_corpus(data_dir, n_workers=1)
    assert (data_dir / FEW[0].transcript).is_file()
    assert not left.exists()


@pytest.mark.usefixtures("few_lines")
def test_another_version_is_moved_aside(tmp_path: Path) -> None:
    data_dir = tmp_path / "spoken"
    data_dir.mkdir()
    (data_dir / MARK).write_text("0\n")
    (data_dir / "mine.txt").write_text("kept")
    ensure_corpus(data_dir, n_workers=1)
    assert (tmp_path / "spoken.old-1" / "mine.txt").read_text() == "kept"
    assert (data_dir / FEW[0].transcript).is_file()


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("kept")
    with pytest.raises(ConfigError, match=f"{tmp_path} contains something else"):
        ensure_corpus(tmp_path)
    assert files(tmp_path) == {"thesis.txt": b"kept"}


def full_disk(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def no_library(*_: object, **__: object) -> None:
    raise SpeechError("eSpeak NG cannot be loaded")


@pytest.mark.usefixtures("few_lines")
@pytest.mark.parametrize(
    ("owner", "name", "fail", "message"),
    [
        (soundfile, "write", full_disk, "cannot be written to .*spoken .*No space left"),
        (Synthesizer, "speak", no_library, "^eSpeak NG cannot be loaded$"),
    ],
)
def test_a_failure_leaves_nothing_behind(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: object,
    name: str,
    fail: Callable[..., None],
    message: str,
) -> None:
    monkeypatch.setattr(owner, name, fail)
    with pytest.raises(SpeechError, match=message):
        ensure_corpus(tmp_path / "spoken", n_workers=1)
    assert [path.name for path in tmp_path.iterdir()] == [".spoken.lock"]


@pytest.mark.usefixtures("few_lines")
def test_a_part_is_an_ordinary_corpus(tmp_path: Path) -> None:
    options = {"index_dir": tmp_path / "index", "n_workers": 1}
    for part in PARTS:
        expected = {line.id: line for line in FEW if line.part == part}
        corpus = SpokenCorpus(part, tmp_path / "spoken", **options)  # type: ignore[arg-type]
        assert {utterance.id for utterance in corpus} == set(expected)
        for utterance in corpus:
            assert utterance.text == expected[utterance.id].text.upper()
            assert utterance.speaker == str(expected[utterance.id].speaker)
            assert utterance.duration == soundfile.info(utterance.audio).duration
    one = SpokenCorpus("train", tmp_path / "spoken", limit=1, **options)  # type: ignore[arg-type]
    assert len(one) == 1


def test_options_out_of_range_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="part must be one of train, val, test, but is 'dev'"):
        SpokenCorpus("dev", tmp_path / "spoken")
    with pytest.raises(ConfigError, match="n_workers must be positive, but is 0"):
        SpokenCorpus("val", tmp_path / "spoken", n_workers=0)
    assert not list(tmp_path.iterdir())
