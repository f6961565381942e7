"""One tracker or several, as they are asked for, and a training that some of them fail."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from omegaconf import DictConfig

from deepspeech2.commands.train import train
from deepspeech2.config.command_line import run, with_writers
from deepspeech2.config.writers import writer_nodes
from deepspeech2.errors import ConfigError
from deepspeech2.writer.base import Writer
from tests.toy import config, metrics, overrides, write_corpus

HERE = "tests.config.test_writers"


class Failing(Writer):
    """Fails at everything, and counts."""

    calls = 0

    def __init__(
        self, *, run_dir: Path, config: Mapping[str, Any], resume_step: int | None, monitor: str
    ) -> None:
        Failing.calls = 0
        assert monitor == "min val_loss"

    def __getattribute__(self, name: str) -> Any:
        if name in vars(Writer) and not name.startswith("_"):
            Failing.calls += 1
            raise RuntimeError("the server is on fire")
        return super().__getattribute__(name)


class Noting(Writer):
    """Notes what a finished training has come to."""

    results: ClassVar[list[tuple[Mapping[str, float], Path]]] = []

    def __init__(
        self, *, run_dir: Path, config: Mapping[str, Any], resume_step: int | None
    ) -> None:
        self.results.clear()

    def result(self, values: Mapping[str, float], checkpoint: Path) -> None:
        self.results.append((values, checkpoint))


def composed(words: list[str], monkeypatch: pytest.MonkeyPatch) -> DictConfig:
    """What the command line hands to the training."""
    found: list[DictConfig] = []
    monkeypatch.setattr("deepspeech2.commands.train.train", lambda each: found.append(each) or 0)
    monkeypatch.setattr("sys.argv", ["train.py", "-cn=an4", *words])
    with pytest.raises(SystemExit) as end:
        run("deepspeech2.commands.train:train", "deepspeech2")
    assert end.value.code == 0
    return found[0]


@pytest.mark.parametrize("words", [
    ["writer=[csv,wandb]", "writer.writers.wandb.group=g"],
    ["writer.writers.wandb.group=g", "writer=[csv, wandb]"],
    ["writer=multiple", "+writer@writer.writers.csv=csv", "+writer@writer.writers.wandb=wandb",
     "writer.writers.wandb.group=g"],
])  # fmt: skip
def test_several_are_composed_beside_each_other(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = writer_nodes(
        composed([*words, "writer.run_name=x", "writer.mode=offline"], monkeypatch)
    )
    assert list(found) == ["writer.writers.csv", "writer.writers.wandb"]
    wandb = found["writer.writers.wandb"]
    # project_name is its own
    expected = {"run_name": "x", "mode": "offline", "group": "g", "project_name": "deepspeech2"}
    assert expected.items() <= wandb.items()


def test_other_words_stay_as_they_are() -> None:
    words = ["-m", "writer=csv,tensorboard", "writer=wandb", "writer.run_name=[a]"]
    assert with_writers(words) == words


def test_own_config_chooses_several_in_its_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "defaults: [an4, {writer@writer.writers.csv: csv},"
        " {writer@writer.writers.board: tensorboard}, {override writer: multiple}, _self_]\n",
        encoding="utf-8",
    )
    found = composed([f"-cd={tmp_path}", "-cn=mine"], monkeypatch)
    assert list(writer_nodes(found)) == ["writer.writers.csv", "writer.writers.board"]


@pytest.mark.parametrize(("words", "message"), [
    (["writer=multiple"], r"writer\.writers must be mappings by name.*writer=\[csv,tensorboard\]"),
    (["writer=multiple", "+writer.writers.csv=true"], r"writer\.writers\.csv must be a writer"),
    (["writer=multiple", "+writer@writer.writers.csv=csv", "+writer.writers.csv.colour=red"],
     r"writer\.writers\.csv\.colour='red' does not exist"),
])  # fmt: skip
def test_what_is_wrong_is_named(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        writer_nodes(config("an4", *words))


def test_a_tracker_that_fails_costs_the_training_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = write_corpus(tmp_path / "toy", {"train": 12, "val": 2})
    small = ("model.rnn_size=8", "trainer.n_epochs=2", "dataloader.num_workers=0")
    small = (*small, "trainer.log_step=1", "trainer.monitor=min val_loss")
    several = ["writer=multiple", "+writer@writer.writers.csv=csv",
               f"+writer.writers.broken._target_={HERE}.Failing",
               f"+writer.writers.noting._target_={HERE}.Noting"]  # fmt: skip
    assert train(config("an4", *overrides(data, tmp_path / "one", *small))) == 0
    words = [word for word in overrides(data, tmp_path / "two", *small) if word != "writer=none"]
    assert train(config("an4", *words, *several)) == 0
    assert Failing.calls > 5
    best = json.loads((tmp_path / "two/toy/run.json").read_text("utf-8"))["best"]
    assert Noting.results == [({"best/val_loss": best}, tmp_path / "two/toy/model_best.pth")]

    def learnt(run: str) -> list[dict[str, Any]]:
        rows = metrics(tmp_path / run / "toy")
        varying = ("time", "seconds", "waiting", "memory")
        return [{k: v for k, v in row.items() if not any(w in k for w in varying)} for row in rows]

    assert learnt("one") == learnt("two")
    # the other tracker has every number by the same name
    with (tmp_path / "two/toy/metrics.csv").open(encoding="utf-8", newline="") as file:
        table = {int(row["step"]): row for row in csv.DictReader(file)}
    for row in metrics(tmp_path / "two/toy"):
        for name, value in row.items():
            if name not in ("step", "time", "epoch"):
                assert float(table[row["step"]][name]) == pytest.approx(value)
    log = (tmp_path / "two/toy/info.log").read_text("utf-8")
    assert "the server is on fire" in log
    assert "Failing.scalars failed 5 times in a row" in log
