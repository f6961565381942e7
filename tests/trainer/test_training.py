"""Whole runs in this process: they learn, resume to the bit, and write what they should."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch

from deepspeech2 import checkpoint
from deepspeech2.commands.train import train
from deepspeech2.errors import CheckpointError, ConfigError
from deepspeech2.inference import Recognizer
from deepspeech2.trainer import Figures, Trainer
from tests.toy import WORDS, config, metrics, overrides, write_corpus

WITH_EVERYTHING = (
    "transforms=small",
    "model.dropout=0.1",
    "dataloader.max_batch_duration=4",
    "trainer.accumulate=2",
    "trainer.ema=0.9",
    "trainer.n_epochs=3",
    "trainer.save_every=1",
)

TARGETS = (
    "model.rnn_layers=2",
    "model.intermediate=[1]",
    "model.self_conditioned=true",
    "model.phones_after=1",
    "loss_function.intermediate_weight=0.3",
    "loss_function.phones_weight=0.2",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("toy"), {"train": 60, "val": 12})


def run(data: Path, save_dir: Path, *changes: str) -> int:
    return train(config("an4", *overrides(data, save_dir, *changes)))


def weights(path: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load(path)["state_dict"]


def sum_of_durations(manifest: Path) -> float:
    lines = manifest.read_text(encoding="utf-8").splitlines()
    return sum(float(json.loads(line)["duration"]) for line in lines)


def same(one: Path, other: Path) -> bool:
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    return all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.figures
def test_a_run_learns_and_leaves_what_it_promises(data: Path, tmp_path: Path) -> None:
    status = run(
        data,
        tmp_path,
        "transforms=none",
        "trainer.n_epochs=6",
        'trainer.monitor="min val_CER_(Argmax)"',
        "decoder=beam",
        "trainer.decode_period=6",
        "model.dropout=0",
    )
    assert status == 0
    folder = tmp_path / "toy"
    for name in ("config.yaml", "info.log", "metrics.jsonl", "model_best.pth"):
        assert (folder / name).stat().st_size > 0
    assert (folder / "checkpoint-epoch6.pth").exists()
    summary = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert summary["device"] == "cpu"
    assert summary["utterances"] == 60
    assert summary["hours"] == pytest.approx(sum_of_durations(data / "train.jsonl") / 3600)
    assert summary["epochs"] == 6
    assert 0 < summary["took_hours"] < 0.5
    assert summary["machine"].keys() == {"processor", "cpus", "gpu"}
    assert summary["machine"]["gpu"] is None
    pictures = {path.stem for path in (folder / "plots").glob("*.png")}
    assert {"loss", "error_rates", "spectrograms", "emissions"} <= pictures
    sounds = {path.stem for path in (folder / "audio").glob("*.wav")}
    assert sounds == {"train_audio", "train_audio_augmented"}
    assert "could not be drawn" not in (folder / "info.log").read_text(encoding="utf-8")
    rows = metrics(folder)
    cer = [row["val/CER_(Argmax)"] for row in rows if "val/CER_(Argmax)" in row]
    assert len(cer) == 6
    assert min(cer) < 0.1
    assert cer[0] > 2 * min(cer) + 0.1
    assert sum("val/WER_(BeamSearch)" in row for row in rows) == 1
    rates = [row["train/learning_rate"] for row in rows if "train/learning_rate" in row]
    assert max(rates) > 9e-3
    assert rates[-1] < 1e-4  # the one cycle ends with the last step
    best = checkpoint.load(folder / "model_best.pth")
    assert best["metrics"]["val/CER_(Argmax)"] == min(cer)
    assert "training" not in best
    heard = Recognizer.from_checkpoint(folder / "model_best.pth", device="cpu")
    assert heard.decoder.name == "BeamSearch"
    assert summary["parameters"] == sum(each.numel() for each in heard.pipeline.parameters())
    assert set(heard.transcribe(data / "val" / "val-000.wav").text) <= set("abc ")


def test_curves_are_drawn_once_in_an_epoch(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []
    monkeypatch.setattr(Figures, "curves", lambda _, step: drawn.append(step))
    monkeypatch.setattr("deepspeech2.trainer.figures.SECONDS_BETWEEN_FIGURES", 0.0)
    words = ("transforms=none", "trainer.n_epochs=3", "trainer.epoch_len=2")
    assert run(data, tmp_path, *words) == 0
    assert drawn == [2, 4, 6]
    # a run with nothing left to train may have been stopped before its figures were due
    assert run(data, tmp_path, *words, "trainer.resume_from=auto") == 0
    assert drawn == [2, 4, 6, 6]


def test_a_summary_that_cannot_be_written_does_not_end_the_run(data: Path, tmp_path: Path) -> None:
    (tmp_path / "toy" / "run.json").mkdir(parents=True)
    assert run(data, tmp_path, "transforms=none", "trainer.n_epochs=1", "trainer.epoch_len=1") == 0
    log = (tmp_path / "toy" / "info.log").read_text(encoding="utf-8")
    assert "run.json cannot be written" in log


@pytest.mark.parametrize("more", [(), TARGETS])
def test_interrupted_and_resumed_equals_uninterrupted(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    """Everything random and everything that averages; stopped by each of the signals in turn."""
    assert run(data, tmp_path / "whole", *WITH_EVERYTHING, *more) == 0
    original = Trainer._step
    stops = ((4, signal.SIGTERM), (13, signal.SIGINT), (17, signal.SIGUSR1))
    for stop_at, number in stops:

        def step(self: Trainer, *given: Any, at: int = stop_at, number: int = number) -> Any:
            result = original(self, *given)
            if self.progress.step + 1 == at:
                os.kill(os.getpid(), number)
            return result

        monkeypatch.setattr(Trainer, "_step", step)
        status = run(data, tmp_path / "parts", *WITH_EVERYTHING, *more, "trainer.resume_from=auto")
        assert status == 128 + number
        last = checkpoint.load(tmp_path / "parts" / "toy" / "checkpoint-last.pth")
        assert last["step"] == stop_at
    monkeypatch.setattr(Trainer, "_step", original)
    assert run(data, tmp_path / "parts", *WITH_EVERYTHING, *more, "trainer.resume_from=auto") == 0
    for name in ("checkpoint-last.pth", "model_best.pth"):
        assert same(tmp_path / "whole" / "toy" / name, tmp_path / "parts" / "toy" / name)
    one, other = (
        checkpoint.load(tmp_path / place / "toy" / "checkpoint-last.pth")["training"]["ema"]
        for place in ("whole", "parts")
    )
    assert one["steps"] == other["steps"] > 17
    assert all(torch.equal(one["weights"][key], other["weights"][key]) for key in one["weights"])
    steps = [row["step"] for row in metrics(tmp_path / "parts" / "toy")]
    assert steps == sorted(steps)
    for key in ("train/loss", "train/epoch_loss"):  # of the whole epoch, too
        losses = [
            {row["step"]: row[key] for row in metrics(tmp_path / place / "toy") if key in row}
            for place in ("whole", "parts")
        ]
        assert losses[0]
        assert losses[0] == losses[1]


def test_phones_are_stored_and_belong_to_training_alone(data: Path, tmp_path: Path) -> None:
    base = ("transforms=none", "trainer.n_epochs=1", "trainer.epoch_len=2", *TARGETS)
    assert run(data, tmp_path, *base) == 0
    last = tmp_path / "toy" / "checkpoint-last.pth"
    content = checkpoint.load(last)
    phones = content["recipe"]["model"]["phones"]
    assert len(phones) == len(content["state_dict"]["network.phone_output.weight"]) - 1 > 3
    assert "too short" in (tmp_path / "toy" / "info.log").read_text(encoding="utf-8")
    # an utterance is recognised without them, and its network is a start for one without
    heard = Recognizer.from_checkpoint(last, device="cpu")
    assert heard.transcribe(data / "val" / "val-000.wav").text is not None
    base = ("writer.run_name=after", f"trainer.from_pretrained={last}", "model.rnn_layers=2")
    words = (*base, "transforms=none", "trainer.n_epochs=1", "trainer.epoch_len=1")
    assert run(data, tmp_path, *words) == 0
    log = (tmp_path / "after" / "info.log").read_text(encoding="utf-8")
    assert "network.conditioning, network.phone_output of it has no place here" in log


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("loss_function.phones_language=klingon-x", "phones_language .* but is 'klingon-x'"),
        ("model.phones_after=null", "phones_weight=0.2 needs .* model.phones_after=2"),
        ("model.phones_after=2", "phones_after must be .* below the last, .* 2, but is 2"),
        ("loss_function.phones_weight=0.7", "below 1 together, but are 0.3 and 0.7"),
    ],
)
def test_targets_that_cannot_be_are_refused(
    data: Path, tmp_path: Path, change: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        run(data, tmp_path, *TARGETS, change)


@pytest.mark.parametrize(("last", "milliseconds"), [(2, 40), (3, 60), (4, 80)])
def test_strides_make_longer_frames_for_pieces_of_words(
    data: Path, tmp_path: Path, last: int, milliseconds: int
) -> None:
    pieces = [*(f"\u2581{word}" for word in WORDS), "\u2581", "a", "b", "c"]
    file = tmp_path / "pieces.json"
    file.write_text(json.dumps({"pieces": pieces, "scores": None}), encoding="utf-8")
    words = (
        "transforms=small", "text_encoder=subword", f"text_encoder.pieces={file}",
        f"model.conv_strides=[[3,2],[3,{last}]]", "trainer.n_epochs=8",
    )  # fmt: skip
    assert run(data, tmp_path, *words) == 0
    assert "left out" not in (tmp_path / "toy" / "info.log").read_text(encoding="utf-8")
    heard = Recognizer.from_checkpoint(tmp_path / "toy" / "model_best.pth", device="cpu")
    assert 1000 * heard.seconds_per_frame == pytest.approx(milliseconds)
    losses = [row["train/epoch_loss"] for row in metrics(tmp_path / "toy")
              if "train/epoch_loss" in row]  # fmt: skip
    assert losses[-1] < 0.7 * losses[0]


def test_resuming_with_other_plans_is_refused(data: Path, tmp_path: Path) -> None:
    base = ("transforms=none", "trainer.n_epochs=1", "trainer.resume_from=auto")
    assert run(data, tmp_path, *base) == 0
    written = (tmp_path / "toy" / "metrics.jsonl").read_bytes()
    optimizers = (
        ("optimizer.weight_decay=0.5", "optimizer.weight_decay=0.01 where this run has 0.5"),
        ("+optimizer.betas=[0.8,0.99]", r"optimizer.betas=\[0.9, 0.999\] where"),
        ("optimizer._target_=torch.optim.Adam", "optimizer=AdamW where this run has Adam:"),
        ("optimizer._target_=torch.optim.SGD", "optimizer=AdamW where this run has SGD:"),
        ("lr_scheduler.pct_start=0.3", "lr_scheduler.pct_start=0.1 where this run has 0.3"),
    )
    for change, message in (
        ("model.rnn_size=32", r"model.rnn_size=48, but the config says 32"),
        ("dataloader.max_batch_duration=9", "dataloader.max_batch_duration=8.0 where .* 9.0"),
        ("trainer.accumulate=2", "trainer.accumulate=1 where this run has 2"),
        ("trainer.monitor=min val_loss", "trainer.monitor=off where this run has min val_loss"),
        ("dataloader.sorted_epochs=1", "dataloader.sorted_epochs=0 where this run has 1"),
        ("datasets.train.limit=50", "datasets.train=60 utterances"),
        ("trainer.n_epochs=5", "total_steps="),
        ("trainer.resume_from=model_best.pth", "contains weights alone"),
        *optimizers,
    ):
        with pytest.raises(CheckpointError, match=message):
            run(data, tmp_path, *base, change)
        assert (tmp_path / "toy" / "metrics.jsonl").read_bytes() == written
    without = config("an4", *overrides(data, tmp_path, *base))
    without["lr_scheduler"] = None
    with pytest.raises(CheckpointError, match="lr_scheduler=OneCycleLR where this run has None"):
        train(without)
    (tmp_path / "toy" / "checkpoint-epoch1.pth").unlink()
    last = tmp_path / "toy" / "checkpoint-last.pth"
    content = checkpoint.load(last)
    plan = content["training"]["plan"]
    older = {key: plan[key] for key in plan if not key.startswith(("optimizer", "lr_scheduler"))}
    del older["dataloader.sorted_epochs"], older["trainer.monitor"], older["trainer.freeze"]
    content["training"]["plan"] = older  # as an older version wrote it
    checkpoint.save(content, last)
    for change, message in optimizers:  # by the config in the checkpoint, then
        with pytest.raises(CheckpointError, match=message):
            run(data, tmp_path, *base, change)
    checkpoint.save({**content, "config": {}}, last)
    assert run(data, tmp_path, *base) == 0


def test_layers_are_unfrozen_at_a_resume(data: Path, tmp_path: Path) -> None:
    """Each tensor keeps its own moments; what was frozen begins without, and is learnt."""
    base = ("transforms=none", "model.rnn_layers=2", "trainer.resume_from=auto")
    stages = ("layers.1.*", 1), ("layers.0.*", 2)
    frozen = []
    for pattern, n_epochs in stages:
        more = (f"trainer.freeze=[{pattern}]", f"trainer.n_epochs={n_epochs}")
        chosen = config("an4", *overrides(data, tmp_path, *base, *more))
        chosen["lr_scheduler"] = None  # it would depend on the number of epochs
        assert train(chosen) == 0
        content = checkpoint.load(tmp_path / "toy" / "checkpoint-last.pth")
        state = content["training"]["optimizer"]["state"]
        frozen.append({name for name in content["state_dict"] if name not in state})
        assert content["config"]["trainer"]["freeze"] == [pattern]
    steps = {float(value["step"]) for value in state.values()}
    assert sorted(steps) == [content["step"] / 2, content["step"]]
    assert any(".1." in name for name in frozen[0] - frozen[1])
    assert any(".0." in name for name in frozen[1] - frozen[0])


def test_weights_of_another_run_are_a_start(data: Path, tmp_path: Path) -> None:
    base = ("transforms=none", "trainer.n_epochs=1", "trainer.epoch_len=1")
    assert run(data, tmp_path / "first", *base) == 0
    start = tmp_path / "first" / "toy" / "model_best.pth"
    still = ("optimizer.lr=0", "lr_scheduler.max_lr=0", f"trainer.from_pretrained={start}")
    assert run(data, tmp_path / "second", *base, *still) == 0
    again = weights(tmp_path / "second" / "toy" / "model_best.pth")
    for key, value in weights(start).items():
        if "running" not in key:
            torch.testing.assert_close(again[key], value, rtol=1e-4, atol=1e-4)


def test_a_start_from_weights_is_resumed_like_any_other(data: Path, tmp_path: Path) -> None:
    """As a job does that always asks for resume_from=auto; the weights may be gone by then."""
    base = ("transforms=none", "trainer.n_epochs=2", "trainer.epoch_len=1")
    assert run(data, tmp_path / "first", *base) == 0
    start = tmp_path / "start.pth"
    (tmp_path / "first" / "toy" / "model_best.pth").rename(start)
    base = (*base, "trainer.save_period=1")
    job = (*base, f"trainer.from_pretrained={start}", "trainer.resume_from=auto")
    assert run(data, tmp_path / "second", *job) == 0
    folder = tmp_path / "second" / "toy"
    assert "taken from" in (folder / "info.log").read_text(encoding="utf-8")
    start.unlink()
    before = weights(folder / "checkpoint-last.pth")
    assert run(data, tmp_path / "second", *job) == 0
    assert "Resumed from" in (folder / "info.log").read_text(encoding="utf-8")
    after = checkpoint.load(folder / "checkpoint-last.pth")
    assert all(torch.equal(after["state_dict"][key], before[key]) for key in before)
    assert after["config"]["trainer"]["from_pretrained"] == str(start)
    branch = f"trainer.resume_from={folder / 'checkpoint-epoch1.pth'}"
    assert run(data, tmp_path / "branch", *base, branch) == 0
    config = checkpoint.load(tmp_path / "branch/toy/model_best.pth")["config"]
    assert config["trainer"]["from_pretrained"] == str(start)  # what it began with all the same


def test_a_start_is_not_moved_away_before_it_is_read(data: Path, tmp_path: Path) -> None:
    base = ("transforms=none", "trainer.n_epochs=1", "trainer.epoch_len=1")
    assert run(data, tmp_path, *base) == 0
    start = tmp_path / "toy" / "model_best.pth"
    again = (f"trainer.from_pretrained={start}", "trainer.override=true")
    with pytest.raises(ConfigError, match=r"would move aside: choose another writer\.run_name"):
        run(data, tmp_path, *base, *again)
    assert [path.name for path in tmp_path.iterdir()] == ["toy"]
    assert start.exists()


def test_what_augmentation_can_shorten_is_scored_all_the_same(tmp_path: Path) -> None:
    """A text that fits its recording, but would not at 1.1 times the speed, is no training text."""
    folder = write_corpus(tmp_path / "data", {"train": 20, "val": 4})
    short = ("transforms=small", "trainer.n_epochs=1", "trainer.epoch_len=1")
    assert run(folder, tmp_path / "first", *short) == 0
    pipeline = Recognizer.from_checkpoint(tmp_path / "first" / "toy" / "model_best.pth").pipeline
    for part in ("train", "val"):
        rows = [json.loads(line) for line in (folder / f"{part}.jsonl").read_text().splitlines()]
        n_samples = soundfile.info(folder / rows[0]["audio_filepath"]).frames
        fits = int(pipeline.plain_frames(torch.tensor([n_samples])))
        rows[0]["text"] = ("ab" * fits)[: fits - 1]
        (folder / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run(folder, tmp_path / "second", *short) == 0
    log = (tmp_path / "second" / "toy" / "info.log").read_text(encoding="utf-8")
    assert "train-000" in log
    assert "val-000" not in log


def test_broken_audio_is_named_once_and_left_out(tmp_path: Path) -> None:
    data = write_corpus(tmp_path / "data", {"train": 20, "val": 4})
    (data / "train" / "train-003.wav").write_bytes(b"RIFF no audio at all")
    status = run(data, tmp_path, "transforms=none", "trainer.n_epochs=3")
    assert status == 0
    text = (tmp_path / "toy" / "info.log").read_text(encoding="utf-8")
    assert text.count("train-003.wav") == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("precision", ["bf16", "16", "32"])
def test_a_run_learns_on_a_gpu(data: Path, tmp_path: Path, precision: str) -> None:
    changes = ("trainer.device=cuda", f"trainer.precision={precision}", "transforms=small")
    assert run(data, tmp_path, *changes, "trainer.n_epochs=6") == 0
    cer = [row.get("val/CER_(Argmax)", 9.0) for row in metrics(tmp_path / "toy")]
    assert min(cer) < 0.4
