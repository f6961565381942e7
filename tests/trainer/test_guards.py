"""What goes wrong in training is named, counted, and ends a run only when it must."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from deepspeech2 import checkpoint
from deepspeech2.commands.train import train
from deepspeech2.errors import CheckpointError, ConfigError, TrainingError
from deepspeech2.settings.training import parse_interval
from deepspeech2.trainer import Checkpoints, EpochEnd, Learner, Progress
from deepspeech2.trainer.monitor import Monitor
from deepspeech2.trainer.trainer import Interval
from deepspeech2.types import Batch
from tests.toy import config, metrics, overrides, write_corpus
from tests.trainer.small import make_learner

SHORT = ("transforms=none", "trainer.n_epochs=2", "trainer.log_step=3")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("toy"), {"train": 60, "val": 8})


def run(data: Path, save_dir: Path, *changes: str) -> int:
    return train(config("an4", *overrides(data, save_dir, *SHORT, *changes)))


def spoil(monkeypatch: pytest.MonkeyPatch, steps: range) -> None:
    """Make the loss of some steps infinite."""
    original = Learner.step

    def step(self: Learner, batches: list[Batch], number: int, **options: Any) -> Any:
        if number in steps:
            for batch in batches:
                batch.waveforms.data[0, 100] = float("inf")
        return original(self, batches, number, **options)

    monkeypatch.setattr(Learner, "step", step)


def test_nonfinite_steps_are_skipped_counted_and_named(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, range(4, 7))
    assert run(data, tmp_path, "trainer.nonfinite_patience=4", "dataloader.cache=false") == 0
    text = (tmp_path / "toy" / "info.log").read_text(encoding="utf-8")
    for step in (5, 6, 7):
        assert f"Step {step} was skipped: its loss or gradient is not finite (train-" in text
    assert "3 steps were skipped" in text
    progress = checkpoint.load(tmp_path / "toy" / "checkpoint-last.pth")["training"]["progress"]
    assert (progress["skipped"], progress["nonfinite"]) == (3, 0)
    assert all(row["train/loss"] < 100 for row in metrics(tmp_path / "toy") if "train/loss" in row)


def test_patience_ends_the_run_and_keeps_the_last_good_checkpoint(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, range(4, 1000))
    changes = ("trainer.nonfinite_patience=3", "trainer.save_every=4", "dataloader.cache=false")
    with pytest.raises(TrainingError, match="had no finite loss or gradient, up to step 7"):
        run(data, tmp_path, *changes)
    assert checkpoint.load(tmp_path / "toy" / "checkpoint-last.pth")["step"] == 4


def full_at(monkeypatch: pytest.MonkeyPatch, most_utterances: int) -> None:
    """A device with room for so many utterances."""
    original = Learner._forward

    def forward(self: Learner, batch: Batch, draw: torch.Generator | None) -> Any:
        if len(batch) > most_utterances:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return original(self, batch, draw)

    monkeypatch.setattr(Learner, "_forward", forward)


def test_too_large_a_batch_is_found_before_the_first_step(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_at(monkeypatch, 4)
    with pytest.raises(
        TrainingError, match=r"fitted: set dataloader.max_batch_duration="
    ) as caught:
        run(data, tmp_path, "dataloader.max_batch_duration=20")
    proposed = float(str(caught.value).rpartition("=")[2])
    assert 0 < proposed < 10
    assert not list((tmp_path / "toy").glob("*.pth"))
    assert run(data, tmp_path, f"dataloader.max_batch_duration={proposed / 2}") == 0


def test_an_utterance_that_does_not_fit_alone(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_at(monkeypatch, 0)
    with pytest.raises(TrainingError, match=r"datasets.train.max_audio_length="):
        run(data, tmp_path, "dataloader.max_batch_duration=0.1")


def test_memory_that_runs_out_later_proposes_a_smaller_batch(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(self: Learner, *given: Any, **options: Any) -> Any:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(Learner, "step", step)
    with pytest.raises(TrainingError, match=r"with dataloader\.max_batch_duration=6\.4"):
        run(data, tmp_path)


def test_a_save_that_fails_does_not_end_the_run(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best model of the first epoch finds no room; that of the second takes its place."""
    original, refused = checkpoint.save, []

    def save(content: Any, path: Path) -> None:
        if content["epoch"] < 2 and len(refused) < 3:
            refused.append(path.name)
            raise CheckpointError(f"{path} could not be written (disk full)")
        original(content, path)

    monkeypatch.setattr(checkpoint, "save", save)
    assert run(data, tmp_path, 'trainer.monitor="min val_loss"') == 0
    assert refused == ["checkpoint-last.pth", "model_best.pth", "checkpoint-last.pth"]
    text = (tmp_path / "toy" / "info.log").read_text(encoding="utf-8")
    assert text.count("could not be written (disk full); training goes on") == 3
    best = checkpoint.load(tmp_path / "toy" / "model_best.pth")
    assert best["epoch"] == 2


def test_a_last_save_that_fails_is_an_error(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = checkpoint.save

    def save(content: Any, path: Path) -> None:
        if content["epoch"] == 2 and path.name == "checkpoint-last.pth":
            raise CheckpointError(f"{path} could not be written (disk full)")
        original(content, path)

    monkeypatch.setattr(checkpoint, "save", save)
    with pytest.raises(CheckpointError, match="disk full"):
        run(data, tmp_path)
    assert checkpoint.load(tmp_path / "toy" / "model_best.pth")


def test_a_signal_while_the_last_epoch_is_closed(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = EpochEnd.finish_epoch

    def finish_epoch(self: EpochEnd, progress: Progress, *more: Any) -> None:
        original(self, progress, *more)
        if progress.epoch == 2:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(EpochEnd, "finish_epoch", finish_epoch)
    manifest = f"{{_target_: deepspeech2.datasets.ManifestCorpus, manifest: {data}/val.jsonl}}"
    test = f"+datasets.test={manifest}"
    assert run(data, tmp_path, test) == 128 + signal.SIGTERM
    assert not any("test/loss" in row for row in metrics(tmp_path / "toy"))
    assert run(data, tmp_path, test, "trainer.resume_from=auto") == 0
    assert any("test/loss" in row for row in metrics(tmp_path / "toy"))


def test_a_checkpoint_has_the_metrics_of_its_own_epoch(data: Path, tmp_path: Path) -> None:
    changes = ("decoder=beam", "trainer.n_epochs=4", "trainer.decode_period=2")
    assert run(data, tmp_path, *changes, "trainer.save_period=1") == 0
    for epoch in range(1, 5):
        found = checkpoint.load(tmp_path / "toy" / f"checkpoint-epoch{epoch}.pth")["metrics"]
        assert "val/WER_(Argmax)" in found
        assert ("val/WER_(BeamSearch)" in found) == (epoch % 2 == 0)


def test_without_a_measured_metric_the_last_epoch_is_the_best(data: Path, tmp_path: Path) -> None:
    changes = ('trainer.monitor="min val_nothing"', 'trainer.average="last 2"')
    assert run(data, tmp_path, *changes, "trainer.save_period=1") == 0
    best, last = (
        checkpoint.load(tmp_path / "toy" / name)["state_dict"]
        for name in ("model_best.pth", "checkpoint-last.pth")
    )
    assert all(torch.equal(best[key], last[key]) for key in best)


def test_averages_are_scored_and_the_better_is_kept(data: Path, tmp_path: Path) -> None:
    changes = (
        "trainer.n_epochs=8",
        "trainer.ema=0.8",
        'trainer.average="last 3"',
        "trainer.save_period=1",
        'trainer.monitor="min val_CER_(Argmax)"',
    )
    assert run(data, tmp_path, *changes) == 0
    rows = metrics(tmp_path / "toy")
    name = "CER_(Argmax)"
    scores = {
        kind: [row[f"val{kind}/{name}"] for row in rows if f"val{kind}/{name}" in row]
        for kind in ("", "_ema", "_mean")
    }
    assert {kind: len(each) for kind, each in scores.items()} == {"": 8, "_ema": 8, "_mean": 1}
    best_of = {kind: min(each) for kind, each in scores.items()}
    content = checkpoint.load(tmp_path / "toy" / "model_best.pth")
    kind = {"plain": "", "moving average": "_ema", "mean of checkpoints": "_mean"}
    chosen = kind[content["weights"]]
    assert content["metrics"][f"val{chosen}/{name}"] == best_of[chosen] == min(best_of.values())
    text = (tmp_path / "toy" / "info.log").read_text(encoding="utf-8")
    assert "best so far (plain)" in text or "best so far (moving average)" in text
    assert "mean of 3 checkpoints" in text


def test_an_early_end_is_scored_and_kept_like_the_last_epoch(data: Path, tmp_path: Path) -> None:
    changes = (
        "trainer.n_epochs=9",
        'trainer.monitor="max val_loss"',  # which falls: the first epoch stays the best
        "trainer.early_stop=1",
        "decoder=beam",
        "trainer.decode_period=5",
        "trainer.save_period=5",
        "lr_scheduler.pct_start=0.01",
    )
    assert run(data, tmp_path, *changes) == 0
    folder = tmp_path / "toy"
    assert [path.name for path in folder.glob("checkpoint-epoch*")] == ["checkpoint-epoch2.pth"]
    scored = [row for row in metrics(folder) if "val/WER_(Argmax)" in row]
    assert ["val/WER_(BeamSearch)" in row for row in scored] == [False, True]
    text = (folder / "info.log").read_text(encoding="utf-8")
    assert "Stopped early: no better val_loss in 1 epochs" in text


def test_the_best_checkpoints_are_those_of_the_lowest_metric(tmp_path: Path) -> None:
    """Without the metric a checkpoint is not among them; of equal ones the later counts."""
    losses = {8: 0.5, 9: 0.5, 10: 0.7, 11: None, 12: 0.1}
    checkpoints = Checkpoints(tmp_path, make_learner(), {}, {}, {})
    monitor = Monitor.parse("min val_loss", None)
    for epoch, loss in losses.items():
        metrics = {} if loss is None else {"val/loss": loss}
        content = {"recipe": {}, "state_dict": {}, "epoch": epoch, "metrics": metrics}
        checkpoint.save(content, checkpoints.epoch(epoch))
    chosen = {
        which: [int(path.stem[16:]) for path in checkpoints.candidates(which, 4, monitor)]
        for which in ("best", "last")
    }
    assert chosen == {"best": [12, 9, 8, 10], "last": [12, 11, 10, 9]}


@pytest.mark.parametrize("value", ["10 hours", 0, -5, "0 min"])
def test_save_every_is_steps_or_minutes(value: int | str) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.save_every must be a positive"):
        parse_interval(value, "trainer.save_every")
    assert [Interval(*parse_interval(3, "x")).due(n) for n in (2, 3, 6)] == [False, True, True]
    assert not Interval(*parse_interval(None, "x")).due(100)


def test_minutes_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("deepspeech2.trainer.trainer.time.monotonic", lambda: now[0])
    interval = Interval(*parse_interval("2 min", "x"))
    interval.done()
    now[0] += 119
    assert not interval.due(1)
    now[0] += 2
    assert interval.due(1)
    interval.done()
    assert not interval.due(2)
