"""Transcribing: what is kept, what goes on, what is written, and from Python."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import srt
import torch
import webvtt
from praatio import textgrid

from deepspeech2.commands import infer as inference
from deepspeech2.errors import AudioError
from deepspeech2.inference import Recognizer
from tests.system.conftest import Run

Transcribe = Callable[..., tuple[int, str, str]]


@pytest.fixture
def transcribe(
    quick_command: Run, toy_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Transcribe:
    """Run ``-cn=transcribe`` with the toy model; predictions go below ``tmp_path``."""
    monkeypatch.setattr(inference, "PREDICTIONS", str(tmp_path / "saved"))

    def run(audio: Path | str, *words: str) -> tuple[int, str, str]:
        done = quick_command(
            "inference.py",
            "-cn=transcribe",
            f"audio={audio}",
            f"inferencer.from_pretrained={toy_run / 'model_best.pth'}",
            "dataloader.num_workers=0",
            *words,
        )
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture
def recordings(toy_run: Path, tmp_path: Path) -> Path:
    """Eight recordings, three of them with references."""
    folder = tmp_path / "talks"
    shutil.copytree(toy_run.parent / "data/val", folder)
    rows = (toy_run.parent / "data/val.jsonl").read_text().splitlines()[:3]
    for row in map(json.loads, rows):
        (folder / Path(row["audio_filepath"]).with_suffix(".txt").name).write_text(row["text"])
    return folder


def contents(folder: Path, ending: str = "json") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob(f"*.{ending}"))}


def times(folder: Path, ending: str = "json") -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in sorted(folder.glob(f"*.{ending}"))}


def test_an_interrupted_run_goes_on(
    transcribe: Transcribe, recordings: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "saved/transcribe/talks"
    status, out, _ = transcribe(recordings, "decoder=beam", "decoder.nbest=2")
    assert status == 0
    whole = contents(folder)
    assert len(whole) == 8
    table = [line for line in out.splitlines() if line.startswith("talks ")]
    made = json.loads((folder / ".made_with").read_text())["checkpoint"][:12]
    assert re.search(
        rf"^model .*/model_best\.pth \(SHA-256 {made}\.\.\.\), \d{{4}}-\d\d-\d\d$", out, re.M
    )
    gone, cut, wrong = folder / "val-000.json", folder / "val-003.json", folder / "val-004.json"
    gone.unlink()
    cut.write_bytes(whole["val-003.json"][:50])
    wrong.write_text(json.dumps({**json.loads(wrong.read_text()), "error": "no disk"}))
    before = times(folder)
    status, out, _ = transcribe(recordings, "decoder=beam", "decoder.nbest=2")
    assert status == 0
    assert "8 utterances, 5 of them from an earlier run" in out
    assert contents(folder) == whole
    after = times(folder)
    touched = {name for name, time in after.items() if before.get(name) != time}
    assert touched == {"val-000.json", "val-003.json", "val-004.json"}
    again = [line for line in out.splitlines() if line.startswith("talks ")]
    assert again == table  # scores, budget and causes, of what was recognised before as well


def test_every_unreferenced_transcript_is_shown_again(
    transcribe: Transcribe, recordings: Path
) -> None:
    def shown(out: str) -> list[str]:
        return [line for line in out.splitlines() if line.startswith("val-00")]

    first, second = transcribe(recordings)[1], transcribe(recordings)[1]
    assert len(shown(first)) == 5
    assert shown(first) == shown(second)


def test_another_decoder_is_refused_and_what_helps(
    transcribe: Transcribe, recordings: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "saved/transcribe/talks"
    assert transcribe(recordings, "decoder=greedy")[0] == 0
    before = contents(folder)
    status, _, error = transcribe(recordings, "decoder=beam", "inferencer.override=false")
    assert status == 2
    assert "of another model or decoder" in error
    assert contents(folder) == before
    assert transcribe(recordings, "decoder=beam")[0] == 0  # as it is, what was there is kept
    assert contents(tmp_path / "saved/transcribe/talks.old-1") == before
    assert transcribe(recordings, "decoder=beam", "inferencer.overwrite=true")[0] == 0
    assert {json.loads(text)["decoder"] for text in contents(folder).values()} == {"BeamSearch"}
    assert transcribe(recordings, "decoder=greedy", "inferencer.override=true")[0] == 0
    old = contents(tmp_path / "saved/transcribe/talks.old-2")
    assert {json.loads(text)["decoder"] for text in old.values()} == {"BeamSearch"}


def test_another_recording_of_the_same_name_does_not_take_its_place(
    transcribe: Transcribe, recordings: Path, tmp_path: Path
) -> None:
    one, other = recordings / "val-000.wav", tmp_path / "other/val-000.wav"
    other.parent.mkdir()
    shutil.copy(recordings / "val-001.wav", other)
    folder = tmp_path / "saved/transcribe/val-000"
    assert transcribe(one)[0] == 0
    before = contents(folder)
    status, _, error = transcribe(other, "inferencer.override=false")
    assert status == 2
    assert f"contains what was heard in {one}, not in {other}: choose another" in error
    assert contents(folder) == before
    assert transcribe(other, "inferencer.overwrite=true")[0] == 0
    assert json.loads((folder / "val-000.json").read_text())["audio_path"] == str(other)
    assert transcribe(one)[0] == 0
    assert contents(folder) == before


def test_formats_are_made_from_what_is_there(
    transcribe: Transcribe, recordings: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "saved/transcribe/talks"
    assert transcribe(recordings)[0] == 0
    before = times(folder)
    formats = "inferencer.formats=[json,srt,vtt,tsv,txt,TextGrid,jsonl,ctm]"
    assert transcribe(recordings, formats)[0] == 0
    assert times(folder) == before
    for ending in ("srt", "vtt", "tsv", "txt", "TextGrid"):
        assert len(contents(folder, ending)) == 8
    for path in folder.glob("val-*.json"):
        said = json.loads(path.read_text())["pred_text"].split()
        subtitles = srt.parse(path.with_suffix(".srt").read_text())
        assert " ".join(each.content for each in subtitles).split() == said
        captions = webvtt.read(str(path.with_suffix(".vtt"))).captions
        assert " ".join(each.text for each in captions).split() == said
        grid = textgrid.openTextgrid(str(path.with_suffix(".TextGrid")), includeEmptyIntervals=True)
        assert [each.label for each in grid.getTier("words").entries if each.label] == said
        rows = path.with_suffix(".tsv").read_text().splitlines()[1:]
        assert [row.split("\t")[3] for row in rows] == said
    lines = (folder / "transcripts.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == [f"val-{i:03d}" for i in range(8)]
    for line in lines:
        content = json.loads(line)
        assert (folder / f"{content['id']}.txt").read_text() == content["pred_text"] + "\n"
    heard = [word["word"] for line in lines for word in json.loads(line)["words"]]
    marked = (folder / "transcripts.ctm").read_text().splitlines()
    assert [line.split()[4] for line in marked] == heard


def test_a_part_of_a_file_keeps_the_times_of_the_file(
    transcribe: Transcribe, recordings: Path, tmp_path: Path
) -> None:
    samples, rate = soundfile.read(recordings / "val-001.wav")
    talk = tmp_path / "talk.flac"
    soundfile.write(talk, np.concatenate((np.zeros(9 * rate), samples)), rate)
    row = {"audio_filepath": talk.name, "offset": 9.0, "duration": len(samples) / rate, "id": "a"}
    (tmp_path / "parts.jsonl").write_text(json.dumps(row))
    assert transcribe(recordings / "val-001.wav")[0] == 0
    assert transcribe(tmp_path / "parts.jsonl", "inferencer.formats=[srt]")[0] == 0
    saved = tmp_path / "saved/transcribe"
    part = json.loads((saved / "parts/a.json").read_text())["words"]
    alone = json.loads((saved / "val-001/val-001.json").read_text())["words"]
    assert [word["start"] - 9 for word in part] == pytest.approx([w["start"] for w in alone])
    subtitles = list(srt.parse((saved / "parts/a.srt").read_text()))
    assert subtitles
    assert all(9 <= each.start.total_seconds() < each.end.total_seconds() for each in subtitles)


def test_files_of_the_user_are_kept(
    transcribe: Transcribe, recordings: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    mine = folder / "val-005.txt"
    mine.write_text("my own notes")
    words = ["inferencer.formats=[txt]", f"inferencer.output={folder}"]
    status, out, error = transcribe(recordings, *words)
    assert status == 0
    assert mine.read_text() == "my own notes"
    assert "1 files that were there already were kept" in out + error
    assert len(contents(folder, "txt")) == 8
    assert transcribe(recordings, *words, "inferencer.overwrite=true")[0] == 0
    assert mine.read_text() != "my own notes"


def test_good_and_broken_recordings(
    transcribe: Transcribe, recordings: Path, tmp_path: Path
) -> None:
    (recordings / "broken.wav").write_bytes(b"RIFFnothing")
    (recordings / "nan.wav").write_bytes(b"")
    soundfile.write(recordings / "nan.wav", np.full(8000, np.nan), 16000, "FLOAT")
    for _ in range(2):  # what is broken is tried again, and told again
        status, out, _ = transcribe(recordings, "inferencer.formats=[jsonl]")
        assert status == 1
        broken = [line for line in out.splitlines() if line.startswith("could not be read: ")]
        assert len(broken) == 2
        assert "not finite" in broken[0] + broken[1]
        folder = tmp_path / "saved/transcribe/talks"
        errors = [json.loads(text) for text in contents(folder).values() if b'"error"' in text]
        assert len(errors) == 2
        assert len((folder / "transcripts.jsonl").read_text().splitlines()) == 10


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["inferencer.formats=[pdf]"],
            "inferencer.formats must be a list, each value one of json, jsonl, ctm, txt",
        ),
        (["inferencer.formats=srt"], "inferencer.formats must be a list"),
        (["inferencer.overwrite=perhaps"], "inferencer.overwrite must be true or false"),
    ],
)
def test_wrong_values_are_named(
    transcribe: Transcribe, recordings: Path, words: list[str], message: str
) -> None:
    status, _, error = transcribe(recordings, *words)
    (line,) = [line for line in error.splitlines() if line.startswith("error: ")]
    assert status == 2
    assert message in line


@pytest.fixture(scope="module")
def recognizer(toy_run: Path) -> Recognizer:
    return Recognizer.from_checkpoint(toy_run / "model_best.pth", device="cpu")


def test_a_file_samples_and_several(recognizer: Recognizer, toy_run: Path) -> None:
    files = [toy_run.parent / f"data/val/val-00{number}.wav" for number in range(3)]
    single = [recognizer.transcribe(file) for file in files]
    assert any(each.text for each in single)
    for transcript, file in zip(single, files, strict=True):
        assert transcript.text == " ".join(word.word for word in transcript.words)
        assert transcript.audio == str(file)
        assert transcript.duration == pytest.approx(soundfile.info(file).duration)
    together = recognizer.transcribe(files)
    assert [each.text for each in together] == [each.text for each in single]
    samples, rate = soundfile.read(files[0])
    for given in (samples, samples.astype(np.float32), torch.from_numpy(samples)):
        assert recognizer.transcribe(given, sample_rate=rate).text == single[0].text
    assert recognizer.transcribe([]) == []
    half = recognizer.transcribe(samples, sample_rate=2 * rate)
    assert half.duration == pytest.approx(single[0].duration / 2, abs=0.001)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(0), "with at least one"),
        (np.zeros((2, 9)), r"samples must be \(S,\)"),
        (np.zeros(9, np.int16), "samples must be floats"),
        (np.array([0.0, np.inf]), "samples must be finite"),
    ],
)
def test_samples_that_are_none(recognizer: Recognizer, samples: np.ndarray, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        recognizer.transcribe(samples)
