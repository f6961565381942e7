"""The command: what it pairs, what it refuses, what it leaves behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from deepspeech2.commands.segment import _report, find_talks, main
from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.extras.segmentation import corpus
from deepspeech2.extras.segmentation.corpus import Found, collect, require_own
from tests.toy import RATE, ROOT

MODEL = ROOT / "models" / "english.pth"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.wav", "a.flac", "alone.wav"):
        soundfile.write(tmp_path / name, np.zeros(RATE, np.float32), RATE)
    for name in ("b.txt", "b.srt", "other.txt"):
        (tmp_path / name).write_text("hello there", encoding="utf-8")
    cue = "1\n00:00:00,000 --> 00:00:01,000\nhello there\n"
    (tmp_path / "a.srt").write_text(cue, encoding="utf-8")
    return tmp_path


def test_pairs_of_a_folder_and_of_the_command_line(folder: Path) -> None:
    found = find_talks([folder], None)
    assert [(talk.audio.name, talk.text.name, talk.folder) for talk in found] == [
        ("a.flac", "a.srt", "a/a"),
        ("b.wav", "b.txt", "b/b"),
    ]
    (talk,) = find_talks([folder / "alone.wav", folder / "other.txt"], "ann")
    assert (talk.audio.name, talk.text.name, talk.folder) == ("alone.wav", "other.txt", "ann/alone")


def test_what_is_no_pair(folder: Path) -> None:
    with pytest.raises(ConfigError, match="nothing follows"):
        find_talks([folder / "a.flac"], None)
    with pytest.raises(ConfigError, match="must be followed by its text"):
        find_talks([folder / "a.flac", folder / "b.wav"], None)
    with pytest.raises(ManifestError, match="does not exist"):
        find_talks([folder / "c.wav"], None)
    with pytest.raises(ConfigError, match="2 recordings are called a"):
        find_talks([folder, folder / "a.flac", folder / "a.srt"], None)
    (folder / "empty").mkdir()
    with pytest.raises(ConfigError, match="no recording beside a text"):
        find_talks([folder / "empty"], None)


def test_silence_keeps_nothing_and_a_broken_file_is_left_out(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "c.wav").write_bytes(b"no audio")
    (folder / "c.txt").write_text("hello", encoding="utf-8")
    output = folder / "corpus"
    words = [str(folder), "--output", str(output), "--checkpoint", str(MODEL), "--device", "cpu"]
    assert main(words) == 1
    printed = capsys.readouterr().out
    assert f"left out: {folder / 'c.wav'}" in printed
    assert "0 utterances" in printed
    assert sorted(path.name for path in output.iterdir()) == [
        "a", "b", "index.html", "manifest.jsonl", "segments.jsonl",
    ]  # fmt: skip
    assert (output / "manifest.jsonl").read_text("utf-8") == ""
    assert not (output / "c").exists()


def test_what_was_passed_over_is_reported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (talk,) = find_talks([folder / "a.flac", folder / "a.srt"], None)
    _report(talk, Found(9000.0, [], (), ((61.0, 7200.4, 12000), (8000.0, 8999.0, 3)), False, None))
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "warning" in line)
    assert "0:01:01 to 2:00:00 (12000 words), 2:13:20 to 2:29:59 (3 words)" in line


def test_an_interrupt_keeps_what_was_cut_and_the_next_start_goes_on(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = folder / "corpus"
    words = [str(folder), "--output", str(output), "--checkpoint", str(MODEL), "--device", "cpu"]
    write = corpus._write

    def interrupted(place: Path, name: str, *rest: Any) -> None:
        write(place, name, *rest)
        if name == "b":
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(corpus, "_write", interrupted)
        assert main(words) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "interrupted by SIGINT"
    names = ["a", "index.html", "manifest.jsonl", "segments.jsonl"]
    assert sorted(path.name for path in output.iterdir() if path.name != "b") == names
    assert not list((output / "b").iterdir())
    assert main(words) == 0
    assert "a is there already and is kept" in capsys.readouterr().out
    assert (output / "b" / "b" / "b.segments.jsonl").is_file()


def test_the_manifest_of_another_program_is_kept(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = folder / "corpus"
    output.mkdir()
    (output / "manifest.jsonl").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="another program"):
        require_own(output)
    assert main([str(folder), "--output", str(output), "--checkpoint", str(MODEL)]) == 2
    assert "another --output" in capsys.readouterr().err
    assert (output / "manifest.jsonl").read_text("utf-8") == "mine"


def test_a_corpus_grows_by_talks(tmp_path: Path) -> None:
    for name, kept in (("b", True), ("a", False)):
        place = tmp_path / name / name
        place.mkdir(parents=True)
        row = {
            "id": name, "audio_filepath": f"{name}.flac", "duration": 1.0, "text": "a",
            "written": "A.", "speaker": name, "kept": kept, "why": "", "score": -0.1, "cer": 0.0,
            "worst_word": -0.1, "start": 0.0, "heard": "a", "recording": "a.wav",
        }  # fmt: skip
        (place / f"{name}.segments.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
        collect(tmp_path)
    lines = (tmp_path / "segments.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["a", "b"]
    (line,) = (tmp_path / "manifest.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line)["id"] == "b"
    (tmp_path / "a" / "a" / "a.segments.jsonl").write_text("{", encoding="utf-8")
    with pytest.raises(ManifestError, match="damaged"):
        collect(tmp_path)
