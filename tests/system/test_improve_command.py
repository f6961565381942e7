"""deepspeech2 improve on the toy corpus: what is better is used, what is not is kept aside."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from deepspeech2.commands import improve
from deepspeech2.commands.train import train
from deepspeech2.extras.improvement.material import held_out
from deepspeech2.extras.labelling.journal import Journal
from deepspeech2.extras.labelling.labels import Change
from tests.toy import config, overrides, write_corpus

CHANGES = (
    "model=tiny", "model.rnn_size=48", "model.rnn_layers=1", "model.dropout=0", "optimizer=adamw",
    "dataloader.max_batch_duration=8", "dataloader.num_workers=0", "decoder=greedy",
    "transforms=none", "trainer.threads=1", "lr_scheduler.max_lr=1e-2", "trainer.n_epochs=4",
)  # fmt: skip
SPEAKERS = [f"s{number}" for number in range(12)]
TESTERS = held_out(SPEAKERS, 0.2)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("improve") / "data", {"train": 96})


@pytest.fixture(scope="module")
def weak(data: Path) -> Path:
    """A model that has seen a third of the corpus once."""
    words = ("~datasets.val", "datasets.train.limit=32", "trainer.monitor=off", "transforms=none",
             "model.dropout=0", "trainer.n_epochs=1", "dataloader.num_workers=0")  # fmt: skip
    assert train(config("an4", *overrides(data, data.parent, *words))) == 0
    return data.parent / "toy" / "model_best.pth"


def corrected(data: Path, folder: Path, *, wrong: bool = False) -> Path:
    """A folder in which all of the corpus is corrected; ``wrong``: the training part to nonsense,
    and a quarter is only sure."""
    shutil.copytree(data, folder)
    journal = Journal(folder)
    changes = []
    for number, line in enumerate((folder / "train.jsonl").read_text().splitlines()):
        row = json.loads(line)
        speaker = SPEAKERS[number % len(SPEAKERS)]
        sure = number % 4 == 1 and speaker not in TESTERS
        text = "cab cab cab" if wrong and speaker not in TESTERS else row["text"].lower()
        changes.append(
            Change(
                utterance=str(number), audio=row["audio_filepath"], text=text, speaker=speaker,
                state="sure" if sure else "corrected", confidence=0.5 if sure else None, who="me",
            )
        )  # fmt: skip
    journal.add(*changes)
    return folder


def command(folder: Path, *words: str, checkpoint: Path) -> int:
    options = ("--config", "an4", "--checkpoint", str(checkpoint), "--device", "cpu")
    return improve.main([str(folder), *CHANGES, *options, *words])


def report(folder: Path, number: int) -> dict[str, Any]:
    return json.loads((folder / "rounds" / f"{number:03d}" / "report.json").read_text())


def manifest(folder: Path, name: str) -> list[dict[str, Any]]:
    path = folder / "rounds" / "001" / name
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_better_model_is_used(
    data: Path, weak: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = corrected(data, tmp_path / "corpus")
    assert command(folder, checkpoint=weak) == 0
    out = capsys.readouterr().out
    found = report(folder, 1)
    assert found["after"] < found["before"]
    assert found["difference"]["high"] < 0
    assert found["better"]
    assert "round 1 is better: WER on" in out
    assert (folder / "rounds" / "current").read_text() == "1\n"

    # nobody is trained on who is tested on, and weights are what they are to be
    learnt, tested = manifest(folder, "train.jsonl"), manifest(folder, "test.jsonl")
    assert {row["speaker"] for row in tested} == TESTERS
    assert {row["speaker"] for row in learnt} == set(SPEAKERS) - TESTERS
    assert {row["weight"] for row in learnt} == {1.0, 0.5}
    assert sum(row["weight"] == 0.5 for row in learnt) == found["sure"] > 0
    assert len(learnt) == found["sure"] + found["corrected"]
    assert len(tested) == found["tested"]

    # and there is a way back
    assert command(folder, "--list", checkpoint=weak) == 0
    listed = capsys.readouterr().out.splitlines()
    assert listed[1].split()[:2] == ["1*", "0"]
    assert command(folder, "--back", "0", checkpoint=weak) == 0
    assert (folder / "rounds" / "current").read_text() == "0\n"
    assert command(folder, "--back", "7", checkpoint=weak) == 2
    assert (
        "round 7 is not finished or does not exist: choose one of 0, 1" in capsys.readouterr().err
    )


def test_a_worse_model_is_kept_aside_and_an_interrupted_round_goes_on(
    data: Path,
    weak: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = corrected(data, tmp_path / "corpus", wrong=True)
    with monkeypatch.context() as patch:
        patch.setattr(improve, "train", lambda config: 130)
        assert command(folder, checkpoint=weak) == 130
    planned = (folder / "rounds" / "001" / "train.jsonl").read_bytes()
    assert not (folder / "rounds" / "001" / "report.json").exists()
    Journal(folder).add(
        Change(utterance="new", audio="train/train-000.wav", text="ab", state="corrected", who="me")
    )
    assert command(folder, checkpoint=weak) == 0
    out = capsys.readouterr().out
    assert "round 1 was interrupted and goes on" in out
    assert (folder / "rounds" / "001" / "train.jsonl").read_bytes() == planned
    found = report(folder, 1)
    assert not found["better"]
    assert "and the upper end is not below 0; the first model stays in use" in out
    assert not (folder / "rounds" / "current").exists()
    assert not (folder / "rounds" / "002").exists()
    model = folder / "rounds" / "001" / "run" / "model_best.pth"
    trained = model.read_bytes()

    # killed between training and report: nothing is trained again
    (folder / "rounds" / "001" / "report.json").unlink()
    assert command(folder, checkpoint=weak) == 0
    assert (report(folder, 1), model.read_bytes()) == (found, trained)


def test_what_cannot_begin_leaves_nothing(
    data: Path, weak: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = corrected(data, tmp_path / "corpus")
    assert command(folder, "trainer.n_epoch=1", checkpoint=weak) == 2
    assert "n_epoch" in capsys.readouterr().err
    assert list((folder / "rounds").iterdir()) == []
    (tmp_path / "empty").mkdir()
    assert command(tmp_path / "empty", checkpoint=weak) == 2
    assert "at least 2 speakers or recordings, but there are 0" in capsys.readouterr().err
