"""What a user gets for bad input: one sentence, the right exit status, no traceback."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from deepspeech2 import checkpoint
from tests.system.conftest import Run
from tests.toy import ROOT, overrides, speak, write_corpus

PREDICTIONS = ROOT / "data" / "saved"


def refused(result: subprocess.CompletedProcess[str], *expected: str) -> None:
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, result.stderr
    for part in expected:
        assert part in lines[0]


@pytest.fixture
def save_path(tmp_path: Path) -> Iterator[str]:
    """Predictions go below data/saved, so a test needs a name of its own there."""
    name = f"test-{tmp_path.parent.name}-{tmp_path.name}"
    yield name
    shutil.rmtree(PREDICTIONS / name, ignore_errors=True)


# Audio


def broken_folder(folder: Path) -> Path:
    """Two good recordings, and one each that is no audio, empty, and cut off."""
    folder.mkdir()
    for index, name in enumerate(("good", "fine")):
        soundfile.write(folder / f"{name}.wav", speak("ab", index), 16000)
    (folder / "words.wav").write_text("no audio", encoding="utf-8")
    soundfile.write(folder / "empty.wav", np.zeros(0, np.float32), 16000)
    soundfile.write(folder / "whole.flac", speak("abc abc abc", 3), 16000)
    content = (folder / "whole.flac").read_bytes()
    (folder / "cut.flac").write_bytes(content[: len(content) // 2])
    (folder / "whole.flac").unlink()
    return folder


def test_broken_audio_in_inference(
    command: Run, toy_run: Path, tmp_path: Path, save_path: str
) -> None:
    folder = broken_folder(tmp_path / "audio")
    result = command(
        "inference.py",
        "-cn=transcribe",
        f"audio={folder}",
        f"inferencer.from_pretrained={toy_run / 'model_best.pth'}",
        f"inferencer.save_path={save_path}",
        "dataloader.num_workers=0",
    )
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    files = {path.stem: path for path in (PREDICTIONS / save_path / "audio").glob("*.json")}
    assert set(files) == {"good", "fine", "words", "empty", "cut"}
    for name, path in files.items():
        content = json.loads(path.read_text(encoding="utf-8"))
        assert ("error" in content) == (name in ("words", "empty", "cut"))
        assert content["text"] is None


def test_a_single_broken_file(
    quick_command: Run, toy_run: Path, tmp_path: Path, save_path: str
) -> None:
    folder = broken_folder(tmp_path / "audio")
    result = quick_command(
        "inference.py",
        "-cn=transcribe",
        f"audio={folder / 'words.wav'}",
        f"inferencer.from_pretrained={toy_run / 'model_best.pth'}",
        f"inferencer.save_path={save_path}",
    )
    assert result.returncode == 1, result.stderr
    (path,) = (PREDICTIONS / save_path).rglob("*.json")
    assert json.loads(path.read_text(encoding="utf-8"))["error"]


def test_broken_audio_in_training(quick_command: Run, tmp_path: Path) -> None:
    data = write_corpus(tmp_path / "data", {"train": 12, "val": 4})
    (data / "train" / "train-003.wav").write_bytes(b"RIFF")
    with soundfile.SoundFile(data / "train" / "train-005.wav", "w", 16000, 1):
        pass
    changes = ("transforms=none", "trainer.n_epochs=2", "model.rnn_size=8")
    result = quick_command("train.py", "-cn=an4", *overrides(data, tmp_path, *changes))
    assert result.returncode == 0, result.stderr
    log = (tmp_path / "toy" / "info.log").read_text(encoding="utf-8")
    for name in ("train-003", "train-005"):
        assert log.count(f"{name}.wav") == 1


# Transcripts


def test_transcripts_that_cannot_be_learnt(quick_command: Run, tmp_path: Path) -> None:
    data = write_corpus(tmp_path / "data", {"train": 12, "val": 4})
    lines = (data / "train.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    rows[2]["text"] = "CAF\u00c9 42"
    rows[4]["text"] = "ABC" * 80
    rows[6]["text"] = "\u00c9"
    rows[7]["text"] = "?!"
    content = "".join(json.dumps(row) + "\n" for row in rows)
    (data / "train.jsonl").write_text(content, encoding="utf-8")
    changes = ("transforms=none", "trainer.n_epochs=1", "model.rnn_size=8")
    result = quick_command("train.py", "-cn=an4", *overrides(data, tmp_path, *changes))
    assert result.returncode == 0, result.stderr
    log = (tmp_path / "toy" / "info.log").read_text(encoding="utf-8")
    report = log[: log.index("parameters on")]
    assert "4 utterances are left out" in report
    for index in (2, 4, 6, 7):
        assert report.count(f"train-{index:03d}") == 1
    for part in ("'2' '4' '\u00e9'", "240 characters need 240 frames", "empty after normalisation"):
        assert part in report
    assert "8 utterances" in log


# Checkpoints


def test_checkpoints_that_are_none(quick_command: Run, toy_run: Path, tmp_path: Path) -> None:
    good = (toy_run / "model_best.pth").read_bytes()
    proof = tmp_path / "executed"

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch '{proof}'",)

    cases = {
        "words.pth": b"these are words",
        "cut.pth": good[: len(good) // 2],
        "bomb.pth": pickle.dumps({"state_dict": Bomb()}),
    }
    for name, content in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        result = quick_command(
            "inference.py", "-cn=inference", f"inferencer.from_pretrained={path}"
        )
        refused(result, str(path))
    assert not proof.exists()
    refused(
        quick_command("inference.py", "-cn=inference", "inferencer.from_pretrained=no.pth"),
        "no.pth",
    )


def test_checkpoint_of_another_architecture(
    quick_command: Run, toy_run: Path, tmp_path: Path
) -> None:
    content = checkpoint.load(toy_run / "model_best.pth")
    content["state_dict"] = dict(content["state_dict"])
    content["state_dict"]["network.output.weight"] = torch.zeros(3, 3)
    path = tmp_path / "other.pth"
    checkpoint.save(content, path)
    result = quick_command("inference.py", "-cn=inference", f"inferencer.from_pretrained={path}")
    refused(result, "other.pth", "network.output.weight", "(3, 3)")
    start = toy_run / "model_best.pth"
    other = ("trainer.n_epochs=1", "model.rnn_size=8", "model.conv_channels=[3,3]")
    words = overrides(toy_run.parent / "data", tmp_path, *other)
    result = quick_command("train.py", "-cn=an4", *words, f"trainer.from_pretrained={start}")
    refused(result, "no layer of", "network.convolutions.blocks.0")
    words = overrides(toy_run.parent / "data", tmp_path, "trainer.freeze=[layer.*]")
    result = quick_command("train.py", "-cn=an4", *words)
    refused(result, "trainer.freeze has 'layer.*'", "convolutions.blocks, layers.0")


# Places


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["datasets.train.part=train-dirty-7"], ["train-dirty-7", "train-clean-100"]),
        (["datasets.train.part=../../etc"], ["part", "../../etc"]),
        (["datasets.train.part=dev-clean-2"], ["dev-clean-2", "http"]),
    ],
)
def test_unknown_split_and_no_network(
    quick_command: Run, tmp_path: Path, words: list[str], expected: list[str]
) -> None:
    base = [f"trainer.save_dir={tmp_path}", f"data_dir={tmp_path / 'corpora'}", "writer=none"]
    refused(quick_command("train.py", "-cn=mini_librispeech", *base, *words), *expected)


def test_missing_folder(quick_command: Run, toy_run: Path, tmp_path: Path) -> None:
    model = f"inferencer.from_pretrained={toy_run / 'model_best.pth'}"
    refused(
        quick_command("inference.py", "-cn=transcribe", "audio=no/such/folder", model), "no/such"
    )
    refused(quick_command("inference.py", "-cn=transcribe", model), "audio=VALUE")
    there = f"trainer.save_dir={tmp_path}"
    refused(quick_command("train.py", "-cn=an4", "data_dir=no/such", there), "no/such")


# Config


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["trainer.n_epoch=3"], ["trainer.n_epoch", "did you mean 'trainer.n_epochs'"]),
        (["datasets.seed=3"], ["no key 'datasets.seed': see docs/configuration.md"]),
        (["+model.wings=2"], ["model.wings=2", "rnn_layers"]),
        (
            ["trainer.n_epochs=-3"],
            ["trainer.n_epochs must be a whole number of at least 1, but is -3"],
        ),
        (["trainer.device=abacus"], ["device must be auto, cpu, cuda", "abacus"]),
        (["trainer.device=cuda:01"], ["device must be auto, cpu, cuda", "cuda:01"]),
        (
            ["dataloader.max_batch_duration=-3"],
            ["max_batch_duration must be a number above 0, but is -3"],
        ),
        (["transforms.features.n_mels=0"], ["n_mels", "0"]),
        (["writer.mode=loud"], ["mode must be one of online, offline, disabled", "loud"]),
        (["model=enormous"], ["enormous"]),
        (["writer.run_name=../up"], ["writer.run_name", "../up"]),
        (["decoder.beam_size=0"], ["beam_size", "0"]),
        (["model=enormous"], ["Available options in 'model': deepspeech2, medium, small"]),
        (["+trianer.n_epochs=3"], ["'trianer' is no group"]),
        (["dataloader.pin_memory=maybe"], ["pin_memory must be true or false, but is 'maybe'"]),
        (["model=null"], ["model must be a group of keys, but is None: choose one"]),
        (["~optimizer"], ["optimizer must be a group of keys, but is None: choose one"]),
        (["writer=null"], ["writer must be a group of keys, but is None: choose one"]),
        (["lr_scheduler.pct_start=1.0"], ["lr_scheduler.pct_start must be below 1, but is 1.0"]),
    ],
)
def test_config_keys_and_values(
    quick_command: Run, toy_run: Path, tmp_path: Path, words: list[str], expected: list[str]
) -> None:
    base = [
        f"trainer.save_dir={tmp_path}",
        f"data_dir={toy_run.parent / 'data'}",
        "datasets=manifest",
        "model=tiny",
    ]
    result = quick_command("train.py", "-cn=an4", *base, *words)
    refused(result, *expected)
    assert "Error executing job" not in result.stderr


@pytest.mark.parametrize(
    ("script", "words", "expected"),
    [
        ("train.py", ["trainer.n_epoch=3"], "did you mean 'trainer.n_epochs'"),
        (
            "train.py",
            ["trainer.n_epochs=ten"],
            "must be a whole number of at least 1, but is 'ten'",
        ),
        ("train.py", ["+trainer.epochs=3"], "trainer.epochs=3 does not exist: trainer takes"),
        ("train.py", ["trainer.n_epochs=null"], "trainer.n_epochs must be"),
        ("train.py", ["dataloader.cache=ram"], "dataloader.cache must be one of none, memory"),
        ("train.py", ["+trianer.n_epochs=3"], "'trianer' is no group"),
        ("train.py", ["optimizer=null"], "optimizer must be a group of keys"),
        ("train.py", ["model=enormous"], "Available options in 'model'"),
        (
            "train.py",
            ["trainer.seed=0.5", "trainer.device=tpu"],
            "seed must be a whole number, but",
        ),
        (
            "train.py",
            ["trainer.seed=0.5", "trainer.device=tpu"],
            "; trainer.device must be auto, c",
        ),
        ("inference.py", ["inferencer.formats=[docx]"], "each value one of json, jsonl"),
        ("inference.py", ["+colour=red"], "'colour' is no group"),
        ("scripts/tune_decoder.py", ["decoder.lm=a", "tuner.write=1"], "must be true or false"),
        ("scripts/calibrate.py", ["calibrator.folds=1"], "must be a whole number of at least 2"),
        (
            "scripts/robustness.py",
            ["noise_dir=a", "robustness.snrs=[]"],
            "a list of dB and 'clean'",
        ),
        ("scripts/preview.py", ["+preview.draws=0"], "preview.draws must be a whole number"),
    ],
)
def test_a_wrong_word_is_told_before_torch_is_imported(
    monkeypatch: pytest.MonkeyPatch,
    command: Run,
    tmp_path: Path,
    script: str,
    words: list[str],
    expected: str,
) -> None:
    (tmp_path / "torch.py").write_text("raise SystemExit('torch is imported')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    refused(command(script, *words), expected)


def test_nothing_is_overwritten_unasked(quick_command: Run, toy_run: Path, save_path: str) -> None:
    data = toy_run.parent / "data"
    again = overrides(data, toy_run.parent, "trainer.n_epochs=1")
    refused(
        quick_command("train.py", "-cn=an4", *again), "contains a run already", "resume_from=auto"
    )
    words = [
        "inference.py",
        "-cn=transcribe",
        f"audio={data / 'val'}",
        f"inferencer.from_pretrained={toy_run / 'model_best.pth'}",
        f"inferencer.save_path={save_path}",
    ]
    assert quick_command(*words).returncode == 0
    words.append("inferencer.override=false")  # as all but -cn=transcribe have it
    other = quick_command(*words, "decoder=beam", "decoder.beam_size=3")
    refused(other, "contains predictions already", "overwrite=true", "override=true")
