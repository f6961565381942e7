"""Folders as phones, browsers and call recorders leave them, transcribed by the command."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rapidfuzz
import soundfile
from praatio import textgrid

from deepspeech2.inference import Recognizer
from tests.audio.recordings import KINDS, write
from tests.system.conftest import Run
from tests.system.test_transcribe import Transcribe, recordings, transcribe
from tests.toy import overrides

__all__ = ["recordings", "transcribe"]

DEVICES = ("aac.m4a", "aac.mp4", "alac.mov", "libopus.webm", "aac.aac", "aac.3gp", "libmp3lame.mp3")
LOSSLESS = re.compile("pcm_[sf]|flac|alac|wavpack|tta")
COARSE = re.compile("amr|pcm_u8|law|adpcm")  # of 4 kHz, and of 4 or 8 bits


def predictions(folder: Path) -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


@pytest.fixture
def said(recordings: Path) -> tuple[np.ndarray[Any, Any], int]:
    samples, rate = soundfile.read(recordings / "val-000.wav")
    return samples, rate


def test_a_phones_folder_is_transcribed_whole(
    transcribe: Transcribe, said: tuple[np.ndarray[Any, Any], int], tmp_path: Path
) -> None:
    samples, rate = said
    phone = tmp_path / "phone"
    phone.mkdir()
    soundfile.write(phone / "plain.wav", samples, rate)
    for number, kind in enumerate(kind for kind in KINDS if str(kind) in DEVICES):
        write(phone / f"{number}.{kind.ending}", kind, samples[:, None], rate)
    status, out, _ = transcribe(phone)
    assert status == 0, out
    found = predictions(tmp_path / "saved/transcribe/phone")
    assert len(found) == len(DEVICES) + 1
    texts = {name: content["pred_text"] for name, content in found.items()}
    plain = texts.pop("plain")
    assert plain
    for text in texts.values():  # the toy model knows tones, which lossy codecs change
        assert rapidfuzz.distance.Levenshtein.distance(text, plain) <= 2, texts
    assert all(abs(each["duration"] - len(samples) / rate) < 0.15 for each in found.values())


def test_real_speech_is_heard_alike_in_every_kind(speech_data: Path, tmp_path: Path) -> None:
    path = min(speech_data.glob("LibriSpeech/test-clean*/*/*/*-0003.flac"))
    samples, rate = soundfile.read(path)
    recognizer = Recognizer.from_checkpoint("models/english.pth").greedy()
    plain = recognizer.transcribe(path).text
    paths = []
    for number, kind in enumerate(KINDS):
        if not COARSE.search(str(kind)):
            paths.append(tmp_path / f"{number}.{kind.ending}")
            write(paths[-1], kind, samples[:, None], rate)
    for place, found in zip(paths, recognizer.transcribe(paths), strict=True):
        errors = rapidfuzz.distance.Levenshtein.distance(found.text, plain)
        lossless = LOSSLESS.search(str(KINDS[int(place.stem)]))
        assert errors <= (0 if lossless else 0.15 * len(plain)), (place, found.text)


def test_what_is_there_of_a_cut_recording_is_heard(
    transcribe: Transcribe, said: tuple[np.ndarray[Any, Any], int], tmp_path: Path
) -> None:
    samples, rate = said
    folder = tmp_path / "cut"
    folder.mkdir()
    samples = np.tile(samples, 2)
    for name in ("a.wav", "b.flac", "whole.wav"):
        soundfile.write(folder / name, samples, rate)
        (folder / f"{name[:-4]}.txt").write_text("one two three")
    for name in ("a.wav", "b.flac"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) * 7 // 10])
    for words in ([], ["inferencer.max_segment=2"], []):  # whole, in pieces, again
        status, out, _ = transcribe(
            folder, *words, "inferencer.overwrite=true", "inferencer.formats=[txt,srt]"
        )
        assert status == 1
        found = predictions(tmp_path / "saved/transcribe/cut")
        assert set(found) == {"a", "b", "whole"}
        assert "error" not in found["whole"]
        for name in "ab":
            assert "cut off" in found[name]["error"], found[name]
            assert found[name]["pred_text"]
            share = found[name]["duration"] / (len(samples) / rate)
            assert 0.3 < share < 0.75
            assert f"heard in part: {folder / name}" in out
            heard = (tmp_path / f"saved/transcribe/cut/{name}.txt").read_text()
            assert heard.strip() == found[name]["pred_text"]


def test_python_hears_what_is_there(
    said: tuple[np.ndarray[Any, Any], int], toy_run: Path, tmp_path: Path
) -> None:
    samples, rate = said
    recognizer = Recognizer.from_checkpoint(toy_run / "model_best.pth")
    for name in ("a.wav", "b.flac"):
        path = tmp_path / name
        soundfile.write(path, np.tile(samples, 2), rate)
        whole = recognizer.transcribe(path)
        assert whole.error is None
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 7 // 10])
        for longest in (40.0, 2.0):
            found = recognizer.transcribe(path, max_segment=longest)
            assert found.error is not None
            assert "cut off" in found.error
            assert found.text
            assert whole.text.startswith(found.text[: len(found.text) // 3])


def test_each_channel_of_a_call_has_its_transcript(
    transcribe: Transcribe, recordings: Path, tmp_path: Path
) -> None:
    calls = tmp_path / "calls"
    calls.mkdir()
    voices = [soundfile.read(recordings / f"val-00{number}.wav") for number in (0, 1)]
    rate = voices[0][1]
    length = max(len(samples) for samples, _ in voices)
    sides = [np.pad(samples, (0, length - len(samples))) for samples, _ in voices]
    soundfile.write(calls / "call.wav", np.stack(sides, axis=1), rate)
    soundfile.write(calls / "memo.wav", sides[0], rate)
    for number, side in enumerate(sides, 1):
        (tmp_path / "alone").mkdir(exist_ok=True)
        soundfile.write(tmp_path / f"alone/call-channel{number}.wav", side, rate)
    formats = "inferencer.formats=[txt,srt,vtt,tsv,ctm,TextGrid,jsonl]"
    for segment in ("40", "2"):
        words = [f"inferencer.max_segment={segment}", "inferencer.overwrite=true", formats]
        assert transcribe(calls, "inferencer.channels=split", *words)[0] == 0
        assert transcribe(tmp_path / "alone", *words)[0] == 0
        alone = predictions(tmp_path / "saved/transcribe/alone")
        found = predictions(tmp_path / "saved/transcribe/calls")
        assert set(found) == {"call-channel1", "call-channel2", "memo-channel1"}
        for name, content in alone.items():
            assert found[name]["pred_text"] == content["pred_text"] != ""
            assert found[name]["channel"] == int(name[-1])
    folder = tmp_path / "saved/transcribe/calls"
    assert "[channel 2]" in (folder / "call-channel2.srt").read_text()
    said = (folder / "call-channel2.txt").read_text()
    assert said == f"[channel 2] {found['call-channel2']['pred_text']}\n"
    assert "<v channel 2>" in (folder / "call-channel2.vtt").read_text()
    rows = [line.split("\t") for line in (folder / "call-channel2.tsv").read_text().splitlines()]
    assert rows[0][0] == "channel"
    assert {row[0] for row in rows[1:]} == {"2"}
    times = [line.split() for line in (folder / "transcripts.ctm").read_text().splitlines()]
    assert {row[1] for row in times if row[0] == "call-channel2"} == {"2"}
    grid = textgrid.openTextgrid(folder / "call-channel2.TextGrid", includeEmptyIntervals=False)
    assert grid.tierNames == ("words (channel 2)",)
    lines = map(json.loads, (folder / "transcripts.jsonl").read_text().splitlines())
    assert {line["id"]: line["channel"] for line in lines}["call-channel2"] == 2


def test_a_training_reads_what_phones_write(
    toy_run: Path, quick_command: Run, tmp_path: Path
) -> None:
    """With reader processes; the same files as WAV give the same utterances."""
    source, data = toy_run.parent / "data", tmp_path / "data"
    kinds = [kind for kind in KINDS if str(kind) in ("alac.m4a", "pcm_s16le.mov", "aac.mp4")]
    for part in ("train", "val"):
        (data / part).mkdir(parents=True)
        for number, line in enumerate((source / f"{part}.jsonl").read_text().splitlines()[:24]):
            row = json.loads(line)
            samples, rate = soundfile.read(source / row["audio_filepath"])
            kind = kinds[number % len(kinds)]
            write(data / part / f"{number}.{kind.ending}", kind, samples[:, None], rate)
            (data / part / f"{number}.txt").write_text(row["text"])
    words = overrides(data, tmp_path / "saved", "trainer.n_epochs=1", "dataloader.num_workers=1")
    words = [word for word in words if not word.startswith("datasets=")]
    done = quick_command("train.py", "-cn=an4", "datasets=directory", *words)
    assert done.returncode == 0, done.stderr
    assert "24 utterances" in done.stdout
    assert "left out" not in done.stdout
    done = quick_command("scripts/doctor.py", "-cn=an4", "datasets=directory", *words)
    assert "24 utterances" in done.stdout, done.stdout
    assert "m4a" in done.stdout
