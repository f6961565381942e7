"""scripts/export.py, and recognition with what it wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
from leaderboard.rows import append

from deepspeech2 import checkpoint
from deepspeech2.commands.export import main as export
from deepspeech2.errors import CheckpointError
from deepspeech2.http.fetch import checksum
from deepspeech2.inference import Recognizer
from tests.results.made import result
from tests.system.conftest import Run

SCRIPT = "scripts/export.py"


@pytest.mark.slow
def test_a_model_with_its_card(quick_command: Run, toy_run: Path, tmp_path: Path) -> None:
    whole = toy_run / "checkpoint-last.pth"
    output, results = tmp_path / "model.safetensors", tmp_path / "results.jsonl"
    append(results, result(checkpoint_sha256=checksum(whole), test_set="dev-clean-70m"))
    append(results, result(checkpoint_sha256="0" * 64, test_set="another"))
    words = [SCRIPT, str(whole), "--output", str(output), "--results", str(results)]
    done = quick_command(*words, "--licence", "cc-by-4.0")
    assert done.returncode == 0, done.stderr
    assert checksum(output) in done.stdout
    assert output.stat().st_size < whole.stat().st_size / 2  # the optimiser is gone
    card = (tmp_path / "model.safetensors.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlicense: cc-by-4.0\n")
    assert "dev-clean-70m" in card
    assert "another" not in card
    assert "2 h of librispeech/train-clean-100, 30 epochs" in card
    assert str(tmp_path) not in card
    other = (*words[:3], str(tmp_path / "model.pth"), *words[4:])
    assert quick_command(*other).returncode == 0  # another format has another card
    again = quick_command(*words)
    assert again.returncode == 2
    assert again.stderr.startswith("error: ")
    assert "is there already" in again.stderr


@pytest.mark.slow
def test_it_hears_the_same(quick_command: Run, toy_run: Path, tmp_path: Path) -> None:
    model = toy_run / "model_best.pth"
    exported = tmp_path / "model.safetensors"
    assert quick_command(SCRIPT, str(model), "--output", str(exported)).returncode == 0
    audio = next((toy_run.parent / "data").rglob("*.wav"))
    heard = [Recognizer.from_checkpoint(path).transcribe(audio) for path in (model, exported)]
    assert heard[0].text
    assert heard[0] == heard[1]
    assert checkpoint.load(exported)["metrics"] == checkpoint.load(model)["metrics"]


@pytest.mark.slow
def test_a_card_of_an_export_that_was_killed(
    quick_command: Run, toy_run: Path, tmp_path: Path
) -> None:
    """The card is written first; where the model did not follow, the same command goes on."""
    output = tmp_path / "model.pth"
    words = [SCRIPT, str(toy_run / "model_best.pth"), "--output", str(output)]
    assert quick_command(*words).returncode == 0
    model = output.read_bytes()
    output.unlink()
    again = quick_command(*words)
    assert again.returncode == 0, again.stderr
    assert output.read_bytes() == model
    output.unlink()
    card = output.with_name("model.pth.md")
    card.write_text("mine")
    refused = quick_command(*words)
    assert refused.returncode == 2
    assert "model.pth.md is there already and is kept" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == [card.name]
    assert card.read_text() == "mine"


@pytest.mark.slow
def test_a_refused_export_leaves_the_card_that_another_wrote(
    toy_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two at the same time: the second finds the model locked when the first has its card."""
    output = tmp_path / "model.pth"
    card = tmp_path / "model.pth.md"

    def locked(*_: object, **__: object) -> None:
        card.write_text("of the first")
        raise CheckpointError("another process is at it")

    monkeypatch.setattr("deepspeech2.commands.export.export", locked)
    assert export([str(toy_run / "model_best.pth"), f"--output={output}"]) == 2
    assert card.read_text() == "of the first"
