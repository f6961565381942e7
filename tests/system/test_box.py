"""The model in models/: small, safe, tuned, as good as its card says, and used without a word."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from leaderboard import page
from leaderboard.rows import Result, ordered, read

from deepspeech2 import checkpoint
from deepspeech2.datasets import LibriSpeechCorpus
from deepspeech2.inference import Recognizer
from deepspeech2.metrics import CorpusScore
from deepspeech2.paths import ROOT
from tests.system.conftest import Run

MODEL = ROOT / "models/english.pth"
LM = ROOT / "models/english.arpa.xz"
CARD = ROOT / "models/README.md"


def test_it_is_small() -> None:
    assert MODEL.stat().st_size <= 30e6
    assert LM.stat().st_size <= 10e6


def test_it_is_ready_and_tells_nothing_of_a_machine() -> None:
    content = checkpoint.load(MODEL)
    assert content["recipe"]["decoder"]["lm"] == "models/english.arpa.xz"
    assert {"Argmax", "BeamSearchLM"} <= content["calibration"].keys()
    assert "training" not in content
    assert not re.search(r"['\" ]/(work|tmp|home|root)\b", json.dumps(content["config"]))


def test_the_card_has_the_results_of_this_file() -> None:
    digest = hashlib.sha256(MODEL.read_bytes()).hexdigest()
    rows = [
        row
        for row in read(ROOT / "results/results.jsonl", Result)
        if row.checkpoint_sha256 == digest
    ]
    assert {row.decoder for row in rows} >= {"Argmax", "BeamSearchLM"}
    card = CARD.read_text(encoding="utf-8")
    shown = card.split(page.BEGIN)[1].split(page.END)[0].strip()
    assert shown == page.summary(ordered(rows), []).strip()
    (parameters,) = {row.parameters for row in rows}
    assert f"{parameters / 1e6:.1f} M parameters" in card
    (hours,) = {row.training.hours for row in rows}
    assert f"{hours:g} h of read English" in card


def test_its_greedy_wer_is_the_recorded_one(speech_data: Path) -> None:
    """On a tenth of the test set, within what so few words allow."""
    digest = hashlib.sha256(MODEL.read_bytes()).hexdigest()
    (row,) = (
        row
        for row in read(ROOT / "results/results.jsonl", Result)
        if row.checkpoint_sha256 == digest and row.decoder == "Argmax"
    )
    corpus = list(LibriSpeechCorpus(row.test_set, speech_data / "LibriSpeech", download=False))
    recognizer = Recognizer.from_checkpoint(MODEL, device="cpu", decoder=_greedy)
    score = CorpusScore()
    heard = recognizer.transcribe([each.audio for each in corpus[::10]])
    for utterance, transcript in zip(corpus[::10], heard, strict=True):
        score.add(recognizer.text_encoder.normalize(utterance.text or ""), transcript.text)
    assert score.wer == pytest.approx(row.wer.value, abs=0.1)


@pytest.mark.slow
def test_it_transcribes_with_nothing_said(
    quick_command: Run, speech_data: Path, tmp_path: Path
) -> None:
    audio = min((speech_data / "LibriSpeech/test-clean-35m").rglob("*.flac"))
    words = (f"audio={audio}", f"inferencer.output={tmp_path}", "inferencer.formats=[txt]")
    words += ("inferencer.overwrite=true",)
    done = quick_command("inference.py", "-cn=transcribe", *words, "inferencer.device=cpu")
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / f"{audio.stem}.txt").read_text(encoding="utf-8").split()) > 2


def _greedy(text_encoder: object) -> object:
    return checkpoint.COMPONENTS["GreedyDecoder"](text_encoder)
