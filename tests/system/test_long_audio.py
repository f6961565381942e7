"""A long recording through the command and from Python, against its utterances one by one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
import srt
import webvtt
from praatio import textgrid

from deepspeech2.commands import infer as inference
from deepspeech2.decoding import GreedyDecoder
from deepspeech2.inference import Recognizer
from deepspeech2.metrics import CorpusScore
from tests.system.conftest import Run
from tests.toy import RATE, speak

Placed = list[tuple[str, float, np.ndarray]]
PAUSE = 0.1


@pytest.fixture(scope="module")
def recognizer(toy_run: Path) -> Recognizer:
    checkpoint = toy_run / "model_best.pth"
    return Recognizer.from_checkpoint(checkpoint, device="cpu", decoder=GreedyDecoder)


@pytest.fixture
def talk(toy_run: Path, tmp_path: Path) -> tuple[Path, Placed]:
    """The training utterances in one stereo file of 48 kHz: texts, starts in seconds, samples."""
    rows = (toy_run.parent / "data/train.jsonl").read_text().splitlines()
    placed: Placed = []
    now = 0.0
    for number, row in enumerate(map(json.loads, rows)):
        text = row["text"].lower()
        samples = speak(text, number)
        placed.append((text, now, samples))
        now += len(samples) / RATE + PAUSE
    pause = 0.003 * np.random.default_rng(0).standard_normal(round(PAUSE * RATE))
    whole = np.concatenate([piece for *_, samples in placed for piece in (samples, pause)])
    path = tmp_path / "talks/talk.flac"
    path.parent.mkdir()
    thrice = soxr.resample(whole, RATE, 3 * RATE)
    soundfile.write(path, np.stack((thrice, thrice), 1), 3 * RATE)
    return path, placed


def errors(reference: str, text: str) -> float:
    """Character error rate."""
    score = CorpusScore()
    score.add(reference, text)
    return score.cer


def test_nothing_is_lost_or_doubled(recognizer: Recognizer, talk: tuple[Path, Placed]) -> None:
    path, placed = talk
    alone = [recognizer.transcribe(samples) for *_, samples in placed]
    whole = recognizer.transcribe(path, max_segment=4.0)
    at_once = recognizer.transcribe(path, max_segment=1000.0)
    assert whole.duration > 20.0
    expected = " ".join(each.text for each in alone)
    losses = [errors(expected, each.text) for each in (whole, at_once)]
    assert losses[1] < 0.05  # the network itself misses spaces where talks were joined
    assert losses[0] < losses[1] + 0.01  # a letter of three hundred
    starts = np.array([word.start for word in whole.words])
    assert np.all(np.diff(starts) >= 0)
    distances = [
        min(abs(starts - (start + word.start)))
        for (_, start, _), each in zip(placed, alone, strict=True)
        for word in each.words
    ]
    assert np.percentile(distances, 90) < 0.1  # words that were joined have no start of their own


def test_long_and_short_in_one_call_keep_their_order(
    recognizer: Recognizer, talk: tuple[Path, Placed], toy_run: Path
) -> None:
    short = toy_run.parent / "data/val/val-000.wav"
    found = recognizer.transcribe([short, talk[0], short], max_segment=4.0)
    assert [each.id for each in found] == ["val-000", "talk", "val-000"]
    assert found[0].text == found[2].text == recognizer.transcribe(short).text
    assert found[1] == recognizer.transcribe(talk[0], max_segment=4.0)


def test_the_command_hears_long_recordings_and_reports_broken_ones(
    quick_command: Run,
    toy_run: Path,
    talk: tuple[Path, Placed],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    recognizer: Recognizer,
) -> None:
    monkeypatch.setattr(inference, "PREDICTIONS", str(tmp_path / "saved"))
    path, placed = talk
    path.with_suffix(".txt").write_text(" ".join(text for text, *_ in placed))
    broken = path.with_name("broken.flac")
    broken.write_bytes(path.read_bytes()[:-40_000])
    done = quick_command(
        "inference.py",
        "-cn=transcribe",
        f"audio={path.parent}",
        f"inferencer.from_pretrained={toy_run / 'model_best.pth'}",
        "decoder=greedy",
        "inferencer.max_segment=4",
        "inferencer.formats=[srt,vtt,TextGrid]",
        "dataloader.num_workers=0",
    )
    assert done.returncode == 1
    assert re.search(r"heard in part: .*broken\.flac: .* cut off", done.stdout)
    content = json.loads((tmp_path / "saved/transcribe/talks/talk.json").read_text())
    assert content["pred_text"] == recognizer.transcribe(path, max_segment=4.0).text
    assert content["text"] == " ".join(text for text, *_ in placed)
    written = tmp_path / "saved/transcribe/talks/talk.json"
    said = content["pred_text"].split()
    subtitles = list(srt.parse(written.with_suffix(".srt").read_text()))
    assert " ".join(each.content for each in subtitles).split() == said
    assert subtitles[-1].start.total_seconds() > 20
    captions = webvtt.read(str(written.with_suffix(".vtt"))).captions
    assert " ".join(each.text for each in captions).split() == said
    grid = textgrid.openTextgrid(str(written.with_suffix(".TextGrid")), includeEmptyIntervals=True)
    assert [each.label for each in grid.getTier("words").entries if each.label] == said
    (row,) = [line for line in done.stdout.splitlines() if re.match(r"talks +Argmax +1 ", line)]
    score = CorpusScore()
    score.add(content["text"], content["pred_text"])
    assert f"{100 * score.wer:.2f} %" in row


def test_parts_of_one_name_long_ones_and_hot_phrases_are_all_told(
    quick_command: Run,
    toy_run: Path,
    talk: tuple[Path, Placed],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A short utterance without a reference beside a long one that has it, and a second part."""
    monkeypatch.setattr(inference, "PREDICTIONS", str(tmp_path / "saved"))
    path, placed = talk
    short = tmp_path / "short.wav"
    soundfile.write(short, placed[0][2], RATE)
    told = " ".join(text for text, *_ in placed)
    word = placed[0][0].split()[0]
    for name, rows in {
        "a": [{"audio_filepath": str(short)}, {"audio_filepath": str(path), "text": told}],
        "b": [{"audio_filepath": str(short), "text": placed[0][0]}],
    }.items():
        (tmp_path / name).mkdir()
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / name / "test.jsonl").write_text(lines, encoding="utf-8")
    words = [
        *("-cn=inference", "~datasets.test", f"data_dir={tmp_path}", "inferencer.save_path=both"),
        f"inferencer.from_pretrained={toy_run / 'model_best.pth'}",
        *(f"+datasets.{name}._target_=deepspeech2.datasets.ManifestCorpus" for name in "ab"),
        *(f"+datasets.{name}.manifest={name}/test.jsonl" for name in "ab"),
        *(f"+datasets.{name}.data_dir={tmp_path}" for name in "ab"),
        *("dataloader.num_workers=0", "inferencer.max_segment=4", "decoder=beam"),
        f"decoder.hotwords=[{word}]",
    ]
    done = quick_command("inference.py", *words)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.split("\n\n")[0].splitlines() if "%" in line]
    assert [row[:3] for row in rows] == [
        ["a", "Argmax", "1"], ["a", "BeamSearch", "1"],
        ["b", "Argmax", "1"], ["b", "BeamSearch", "1"],
    ]  # fmt: skip
    heard = done.stdout.split("hot phrase")[1]
    again = quick_command("inference.py", *words)
    assert again.returncode == 0, again.stderr
    assert again.stdout.split("hot phrase")[1] == heard
    assert [line.split() for line in heard.splitlines() if f" {word} " in line] == [
        ["a", word, "2"], ["b", word, "1"],
    ]  # fmt: skip


def test_a_resumed_run_tells_what_an_uninterrupted_one_does(
    quick_command: Run, toy_run: Path, talk: tuple[Path, Placed], tmp_path: Path
) -> None:
    """Scores and their causes, of long recordings and short ones; both tables agree."""
    path, placed = talk
    told = " ".join(text for text, *_ in placed).replace("cab", "cc")  # there are errors
    rows = [{"audio_filepath": str(path), "text": told}]
    for number, (text, _, samples) in enumerate(placed[:12]):
        wave = tmp_path / f"{number}.wav"
        soundfile.write(wave, samples[: len(samples) - 400 * number], RATE)
        rows.append(
            {"audio_filepath": str(wave), "text": text} if number else {"audio_filepath": str(wave)}
        )
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = [
        *("-cn=inference", "datasets=an4_test", f"data_dir={tmp_path}"),
        f"inferencer.from_pretrained={toy_run / 'model_best.pth'}",
        *(
            "dataloader.num_workers=0",
            "inferencer.max_segment=4",
            "decoder=beam",
            "decoder.nbest=2",
        ),
    ]

    def tables() -> list[str]:
        done = quick_command("inference.py", *words, f"inferencer.save_path={tmp_path / 'saved'}")
        assert done.returncode == 0, done.stderr
        return done.stdout[done.stdout.index("\npart ") :].split("\n\n")

    whole = tables()
    scores, causes = (
        {
            tuple(line.split()[:2]): line.split()
            for line in table.splitlines()
            if line.startswith("test ")
        }
        for table in whole[:2]
    )
    assert "best of" in whole[0]
    assert len(causes) == 2
    for key, (_, _, wer, *_, n_words) in causes.items():
        assert wer == scores[key][3] != "0.00"
        assert int(n_words) == sum(len(str(row.get("text", "")).split()) for row in rows)
    predictions = sorted((tmp_path / "saved").rglob("*.json"))
    assert len(predictions) == 13
    for kept in (predictions[:4], predictions[4:], predictions, [tmp_path / "saved/test/0.json"]):
        for each in predictions:
            if each not in kept:
                each.unlink()
        assert tables() == whole
