"""scripts/doctor.py: nothing to say of a healthy machine, and one line for each fault."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from omegaconf import OmegaConf

from deepspeech2.commands.doctor import diagnose, doctor
from deepspeech2.extras.checks import Finding
from tests.system.conftest import ENVIRONMENT, Run
from tests.toy import RATE, ROOT, config, overrides, speak, write_corpus


def found(data: Path, place: Path, *changes: str) -> dict[str, Finding]:
    """What is not ok, by check."""
    findings = diagnose(config("an4", *overrides(data, place / "saved", *changes)))
    return {finding.check: finding for finding in findings if finding.severity != "ok"}


@pytest.fixture(autouse=True)
def without_torchaudio(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing it in a process of its own takes seconds, each time."""
    monkeypatch.setattr("deepspeech2.extras.checks.environment._import_fault", lambda module: None)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "data", {"train": 6, "val": 3})


def add(data: Path, name: str, wave: np.ndarray, text: str = "AB", **more: object) -> None:
    """One more recording, and its line in the manifest of train."""
    soundfile.write(data / "train" / f"{name}.wav", wave, RATE)
    list_again(data, "train", name, len(wave) / RATE, text, **more)


def list_again(
    data: Path, part: str, name: str, duration: float, text: str = "AB", **more: object
) -> None:
    row = {"audio_filepath": f"train/{name}.wav", "duration": duration, "text": text, **more}
    with (data / f"{part}.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def test_a_healthy_machine(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = overrides(data, tmp_path / "saved", "dataloader.cache=disk")
    assert doctor(config("an4", *changes, f"dataloader.cache_dir={tmp_path / 'cache'}")) == 0
    told = capsys.readouterr().out
    assert "0 errors, 0 warnings" in told, told
    for area in ("config", "machine", "datasets.train", "datasets.val", "datasets"):
        assert f"{area}\n" in told
    assert not (tmp_path / "saved").exists()
    assert not (tmp_path / "cache").exists()


def test_every_fault_of_the_data_is_told(data: Path, tmp_path: Path) -> None:
    loud = np.clip(8 * speak("abc", 40), -1, 1)
    loud[1000:1040] = 1.0
    add(data, "loud", loud)
    add(data, "still", np.zeros(RATE))
    add(data, "strange", speak("ab", 41), "ÀB")
    add(data, "crowded", speak("ab", 42), "abcabcabcabc" * 30)
    add(data, "copy", speak("abc abc", 43))
    add(data, "original", speak("abc abc", 43))
    add(data, "said", speak("cab ba", 44), "CAB BA", speaker="s")
    add(data, "said-too", speak("cab ba", 45), "CAB BA")
    list_again(data, "val", "said-too", len(speak("cab ba", 45)) / RATE, "cab ba", speaker="s")
    list_again(data, "train", "gone", 1.0)
    list_again(data, "train", "loud", len(loud) / RATE)
    list_again(data, "train", "said-too", 9.0, speaker="t")
    told = found(data, tmp_path)
    expected = {
        "datasets.train: unknown characters": ("'à' in 1", "text_encoder.alphabet"),
        "datasets.train: alignment": ("360 characters need", "time stride"),
        "datasets.train: repetitions": ("2 utterances with the same file", "one line"),
        "datasets.train: silence": ("still -inf dBFS", "Record these again"),
        "datasets.train: clipping": ("loud", "input level"),
        "datasets.train: duration": ("9.00 s from 0.00 s on", "durations of the files"),
        "datasets.train: reading": ("gone does not exist", "Mend or replace"),
        "datasets: overlap": ("1 utterance of val in train by audio file", "Leave them out"),
        "datasets: same audio": ("train:copy = train:original", "Keep one of each"),
    }
    assert set(told) == set(expected)
    for check, (what, remedy) in expected.items():
        assert told[check].severity == "warning"
        assert what in told[check].found
        assert remedy in told[check].remedy


def test_every_fault_of_the_config_is_told_and_the_rest_checked(data: Path, tmp_path: Path) -> None:
    told = found(
        data,
        tmp_path,
        "+trainer.epochs=3",
        "+model.layers=3",
        "+optimizer.rate=1",
        "+dataloader.size=1",
        "+decoder.beams=1",
        "+writer.colour=red",
        "text_encoder.alphabet=aa",
        "+loss_function.beta=1",
        "datasets.val.manifest=absent.jsonl",
        "+datasets.train.shuffled=true",
        "+lonely=1",
    )
    expected = {
        "config: trainer": "trainer.epochs=3 does not exist",
        "config: dataloader": "dataloader.size=1 does not exist",
        "config: model": "model.layers=3 does not exist",
        "config: writer": "writer.colour='red' does not exist",
        "config: text_encoder": "repeats it",
        "config: loss_function": "loss_function.beta=1 does not exist",
        "config: keys": "lonely is no group",
        "datasets.train: presence": "datasets.train.shuffled=True does not exist",
        "datasets.val: presence": "absent.jsonl does not exist",
    }
    for check, what in expected.items():
        assert told[check].severity == "error"
        assert what in told[check].found
        assert told[check].remedy
    more = found(data, tmp_path, "+decoder.beams=1", "+optimizer.rate=1", "+lr_scheduler.slope=1")
    assert set(more) == {"config: decoder", "config: optimizer"}
    assert "optimizer.rate=1 does not exist" in more["config: optimizer"].found


def test_a_mode_that_weights_and_biases_lacks(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("writer=wandb", "writer.run_name=x")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    mode = found(data, tmp_path, *words, "writer.mode=on")["machine: W&B"]
    assert (mode.severity, mode.found.startswith("writer.mode must be one of")) == ("error", True)
    monkeypatch.setenv("WANDB_MODE", "nonsense")
    mode = found(data, tmp_path, *words)["machine: W&B"]
    assert (mode.severity, "but is 'nonsense'" in mode.found) == ("error", True)


def test_no_split_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a download was started")

    monkeypatch.setattr("deepspeech2.datasets.librispeech.download_split", refuse)
    changes = [f"data_dir={tmp_path}", "writer=none", "trainer.device=cpu", "model=tiny"]
    findings = diagnose(config("deepspeech2", *changes))
    missing = {f.check: f for f in findings if f.check.endswith("presence")}
    assert set(missing) == {f"datasets.{name}: presence" for name in ("train", "val", "test")}
    train = missing["datasets.train: presence"]
    assert train.severity == "warning"
    assert "train-clean-100, train-clean-360, train-other-500" in train.found
    assert "60.0 GB" in train.found
    assert "data_dir" in train.remedy
    assert any("the download of train-clean-100" in finding.found for finding in findings)
    refused = diagnose(config("deepspeech2", *changes, "+datasets.val.download=false"))
    val = next(f for f in refused if f.check == "datasets.val: presence")
    assert val.severity == "error"
    assert "dev-clean does not exist" in val.found


def test_the_built_in_corpus_is_not_spoken_for_it(tmp_path: Path) -> None:
    absent = tmp_path / "spoken"
    findings = diagnose(config("demo", f"data_dir={absent}", "trainer.device=cpu"))
    assert next(f for f in findings if f.check == "datasets.train: presence").severity == "ok"
    assert not absent.exists()
    assert all(f.severity != "error" for f in findings)


def test_a_config_of_recognition(data: Path) -> None:
    node = config("transcribe", f"audio={data / 'train'}", "dataloader.num_workers=0")
    findings = diagnose(node)
    assert {f.severity for f in findings} == {"ok"}
    assert any(f.check == "datasets.audio: recordings" for f in findings)
    absent = diagnose(config("transcribe", f"audio={data / 'nothing'}"))
    assert "datasets.audio: presence" in {f.check for f in absent if f.severity == "error"}


def test_a_config_with_holes() -> None:
    for hole in ("datasets", "model", "writer", "transforms", "optimizer"):
        node = config("an4", "data_dir=/nonexistent")
        OmegaConf.set_struct(node, False)
        node[hole] = None
        assert any(f.severity == "error" for f in diagnose(node)), hole


def test_from_any_folder(data: Path, tmp_path: Path) -> None:
    words = overrides(data, tmp_path / "saved")
    command = [sys.executable, str(ROOT / "scripts" / "doctor.py"), "-cn=an4", *words]
    result = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 errors" in result.stdout


def test_status_and_misspelt_keys(quick_command: Run, data: Path, tmp_path: Path) -> None:
    words = overrides(data, tmp_path / "saved")
    broken = quick_command("scripts/doctor.py", "-cn=an4", *words, "datasets.val.manifest=no.jsonl")
    assert broken.returncode == 1
    assert "1 error, 0 warnings" in broken.stdout
    refused = quick_command("scripts/doctor.py", "-cn=an4", *words, "trainer.epochs=3")
    assert refused.returncode == 2
    assert "trainer.epochs" in refused.stderr
