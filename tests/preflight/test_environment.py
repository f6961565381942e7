"""Every fault of a machine has its finding and its remedy."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile

from deepspeech2.extras.checks import (
    Demand,
    Finding,
    Machine,
    cache_demand,
    checkpoint_demand,
    gather,
    judge_disks,
    judge_machine,
    judge_wandb,
)
from deepspeech2.extras.checks.audio_check import FORMATS, judge_formats, try_formats
from deepspeech2.extras.checks.environment import disk_of, has_wandb_key
from deepspeech2.settings import TrainerSettings

WHOLE = dict.fromkeys(FORMATS)
HEALTHY = Machine(
    torch="2.11.0+cu130",
    torch_cuda="13.0",
    torchaudio="2.11.0",
    torchaudio_fault=None,
    driver="580.65.06",
    gpus=("NVIDIA H100",),
    wandb=True,
    wandb_key=True,
)


def judged(subject: str, *, device: str = "auto", **facts: object) -> Finding:
    """The finding about ``subject`` on a machine that is healthy but for ``facts``."""
    findings = judge_machine(replace(HEALTHY, **facts), device)
    return next(f for f in reversed(findings) if f.check == f"machine: {subject}")


def check(finding: Finding, severity: str, found: str, remedy: str) -> None:
    assert finding.severity == severity, finding
    assert found in finding.found
    assert remedy in finding.remedy
    assert bool(remedy) == bool(finding.remedy)


def test_a_healthy_machine_has_only_ok() -> None:
    for finding in [*judge_machine(HEALTHY, "cuda"), judge_wandb(HEALTHY, "online")]:
        check(finding, "ok", "", "")


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        ({"torchaudio": "2.10.0"}, "torchaudio 2.10.0"),
        ({"torchaudio": None}, "torchaudio absent"),
        ({"torchaudio": "2.11.0+cpu"}, "torchaudio 2.11.0+cpu"),
        ({"torchaudio_fault": "OSError: libcudart.so.13"}, "libcudart.so.13"),
    ],
)
def test_torch_and_torchaudio_are_a_pair(facts: dict[str, str], found: str) -> None:
    check(judged("torch and torchaudio", **facts), "warning", found, "requirements.txt")


@pytest.mark.parametrize(
    ("cuda", "driver", "works"),
    [
        ("13.0", "580.65.06", True),
        ("13.0", "575.51.03", False),
        ("12.8", "525.60.13", True),
        ("12.8", "515.105.01", False),
        ("11.8", "450.80.02", True),
        ("11.8", "440.33.01", False),
    ],
)
def test_each_cuda_needs_its_driver(cuda: str, driver: str, works: bool) -> None:
    finding = judged("GPU", torch_cuda=cuda, driver=driver, gpus=())
    if works:  # and something else hides the GPU
        check(finding, "warning", "torch sees no GPU", "CUDA_VISIBLE_DEVICES")
    else:
        check(finding, "error", f"driver {driver}, but CUDA {cuda}", "Update NVIDIA's driver")


def test_faults_of_the_gpu() -> None:
    none = {"driver": None, "gpus": ()}
    check(judged("GPU", **none), "ok", "no NVIDIA driver: the CPU is used", "")
    check(judged("GPU", device="cuda:0", **none), "error", "device=cuda:0", "trainer.device=auto")
    check(judged("GPU", device="cpu", **none), "ok", "none is asked for", "")
    check(judged("GPU", device="cuda:3"), "error", "device=cuda:3, but NVIDIA H100", "device=auto")
    check(judged("GPU", device="mps"), "error", "device=mps, but", "trainer.device=auto")
    hidden = judged("GPU", device="cuda", gpus=())
    check(hidden, "error", "torch sees no GPU", "--gpus all")
    cpu_build = judged("GPU", torch="2.11.0+cpu", torch_cuda=None, gpus=())
    check(cpu_build, "error", "torch 2.11.0+cpu is built for the CPU", "Install torch with CUDA")


def test_formats_that_cannot_be_read() -> None:
    (flac,) = judge_formats({"flac": "not supported"})
    check(flac, "error", "flac: not supported", "--force-reinstall soundfile")
    readable, opus = judge_formats({**WHOLE, "ogg-opus": "not supported"})
    check(readable, "ok", "flac, wav, m4a written and read", "")
    check(opus, "warning", "ogg-opus", "--force-reinstall soundfile")
    (full,) = judge_formats({"wav": "No space left on device"})
    check(full, "error", "No space", "TMPDIR")


def test_formats_are_really_written_and_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert try_formats() == WHOLE

    def fail(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as change:
        change.setattr(soundfile, "write", fail)
        change.setattr("deepspeech2.extras.checks.audio_check._write_with_ffmpeg", fail)
        assert try_formats() == dict.fromkeys(FORMATS, "No space left on device")
    monkeypatch.setattr(tempfile, "TemporaryDirectory", fail)
    assert all("no temporary folder" in str(fault) for fault in try_formats().values())


def test_wandb() -> None:
    no_key, absent = replace(HEALTHY, wandb_key=False), replace(HEALTHY, wandb=False)
    check(judge_wandb(HEALTHY, None), "ok", "not used", "")
    check(judge_wandb(no_key, "offline"), "ok", "writer.mode=offline", "")
    check(judge_wandb(no_key, "online"), "warning", "there is no key", "wandb login")
    check(judge_wandb(absent, "disabled"), "ok", "writer.mode=disabled", "")
    check(judge_wandb(absent, "online"), "error", "wandb is not installed", "writer=none")


def test_where_wandb_finds_its_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_BASE_URL", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert not has_wandb_key()
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine api.wandb.ai login user password x\n", encoding="utf-8")
    netrc.chmod(0o600)
    assert has_wandb_key()
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    assert not has_wandb_key()
    netrc.write_text("nonsense", encoding="utf-8")
    assert not has_wandb_key()
    monkeypatch.setenv("WANDB_API_KEY", "x")
    assert has_wandb_key()


def test_gathering_meets_no_fault_here(tmp_path: Path) -> None:
    machine = gather(thorough=False)
    _, free = disk_of(tmp_path / "not" / "yet")
    assert free > 0
    assert machine.torch.startswith("2.")
    findings = judge_machine(machine, "cpu")
    assert all(finding.severity != "error" for finding in findings)


# Disks


def test_what_a_run_keeps(tmp_path: Path) -> None:
    five = TrainerSettings(n_epochs=50, save_period=5)
    assert checkpoint_demand(tmp_path, 1000, five).needed == 13 * 12_000
    seven = TrainerSettings(n_epochs=7, save_period=5, ema=0.99)
    # epochs 5 and 7, the last, the best, a half-written one
    assert checkpoint_demand(tmp_path, 1000, seven).needed == 5 * 16_000
    (tmp_path / "checkpoint-last.pth").write_bytes(b"x" * 500)
    assert checkpoint_demand(tmp_path, 1000, seven).needed == 5 * 16_000 - 500
    assert cache_demand(tmp_path / "cache", 10.0).needed == 320_000
    assert cache_demand(tmp_path, 10.0).needed == 319_500
    assert cache_demand(tmp_path, 0.01).needed == 0


def test_a_disk_too_small_for_all_together() -> None:
    run = Demand("checkpoints", Path("a"), 600, "raise trainer.save_period")
    cache = Demand("a cache", Path("b"), 600, "set dataloader.cache=none")
    apart = {Path("a"): (1, 1000), Path("b"): (2, 1000)}
    findings = judge_disks([run, cache], apart.__getitem__)
    assert [finding.severity for finding in findings] == ["ok", "ok"]
    together = {Path("a"): (1, 1000), Path("b"): (1, 1000)}
    (finding,) = judge_disks([run, cache], together.__getitem__)
    remedy = "Make room, raise trainer.save_period, or set dataloader.cache=none."
    check(finding, "error", "checkpoints in a and a cache in b need", remedy)
