"""The machine: facts that one function gathers, and judgements that depend on nothing else."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from deepspeech2.extras.checks.credentials import has_wandb_key
from deepspeech2.extras.checks.disk import Disk, disk_of
from deepspeech2.extras.checks.finding import Finding, Severity
from deepspeech2.extras.checks.formats import try_formats

DRIVERS = {11: 450, 12: 525, 13: 580}
"""The oldest NVIDIA driver that runs a program built with each major version of CUDA.

NVIDIA, CUDA Toolkit Release Notes, table "Minimum Required Driver Version for CUDA Minor Version
Compatibility", column Linux.
"""

_PAIR = "Install the pair that belongs together: pip install -r requirements.txt."
_PROC = Path("/proc/driver/nvidia/version")
_DRIVER = re.compile(r"\b(\d{3}\.\d+(?:\.\d+)?)\b")


@dataclass(frozen=True, slots=True)
class Machine:
    """Facts, as they were found.

    Attributes:
        torch: its version.
        torch_cuda: the version of CUDA that torch was built with; None for the CPU alone.
        torchaudio: its version; None if it is not installed.
        torchaudio_fault: what importing it raises; None if nothing, or if that was not tried.
        driver: version of NVIDIA's driver; None if there is none.
        gpus: names of the GPUs that torch sees.
        formats: audio formats, each with what went wrong when it was written and read, or None.
        disks: of the places that were asked for.
        wandb: whether the package is installed.
        wandb_key: whether Weights & Biases has a key here.
    """

    torch: str
    torch_cuda: str | None
    torchaudio: str | None
    torchaudio_fault: str | None
    driver: str | None
    gpus: tuple[str, ...]
    formats: tuple[tuple[str, str | None], ...]
    disks: tuple[Disk, ...]
    wandb: bool
    wandb_key: bool


def gather(places: Sequence[Path], *, thorough: bool) -> Machine:
    """The facts of this machine, without asking any other.

    Args:
        places: files or folders whose disks matter; they need not exist.
        thorough: also import torchaudio, in a process of its own, which takes seconds.
    """
    audio = _version("torchaudio")
    return Machine(
        torch=str(torch.__version__),
        torch_cuda=torch.version.cuda,
        torchaudio=audio,
        torchaudio_fault=_import_fault("torchaudio") if thorough and audio else None,
        driver=_driver(),
        gpus=_gpus(),
        formats=try_formats(),
        disks=tuple(disk_of(place) for place in places),
        wandb=importlib.util.find_spec("wandb") is not None,
        wandb_key=has_wandb_key(),
    )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _import_fault(module: str) -> str | None:
    """The last line of what importing ``module`` prints when it fails."""
    done = subprocess.run(
        [sys.executable, "-c", f"import {module}"], capture_output=True, text=True, check=False
    )
    if not done.returncode:
        return None
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"exit status {done.returncode}"


def _driver() -> str | None:
    if _PROC.exists():
        found = _DRIVER.search(_PROC.read_text(encoding="utf-8", errors="replace"))
        if found:
            return found[1]
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    query = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _DRIVER.search(done.stdout)
    return found[1] if found else None


def _gpus() -> tuple[str, ...]:
    with warnings.catch_warnings():  # torch warns of a driver that is too old; so do we
        warnings.simplefilter("ignore")
        if not torch.cuda.is_available():
            return ()
        return tuple(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))


def judge_machine(
    machine: Machine, *, device: str = "auto", wandb_mode: str | None = None
) -> list[Finding]:
    """All that does not depend on the config's folders.

    Args:
        device: as in ``trainer.device``.
        wandb_mode: as in ``writer.mode``; None if Weights & Biases is not used.
    """
    return [
        judge_pair(machine),
        judge_gpu(machine, device),
        *judge_formats(machine),
        judge_wandb(machine, wandb_mode),
    ]


def judge_pair(machine: Machine) -> Finding:
    """Whether torchaudio belongs to torch; only alignment and the tests need it."""
    cuda = f"CUDA {machine.torch_cuda}" if machine.torch_cuda else "the CPU alone"
    found = f"torch {machine.torch} for {cuda}, torchaudio {machine.torchaudio or 'absent'}"
    check = "machine: torch and torchaudio"
    if machine.torchaudio_fault:
        return Finding("warning", check, f"{found} ({machine.torchaudio_fault})", _PAIR)
    if machine.torchaudio is None or not _belong(machine.torch, machine.torchaudio):
        return Finding("warning", check, found, _PAIR)
    return Finding("ok", check, found)


def _belong(torch_version: str, audio_version: str) -> bool:
    ours, _, build = torch_version.partition("+")
    theirs, _, other = audio_version.partition("+")
    same_build = not (build and other) or build == other
    return ours.split(".")[:2] == theirs.split(".")[:2] and same_build


def judge_gpu(machine: Machine, device: str) -> Finding:
    """Whether torch, its CUDA and the driver together make the device usable."""
    check = "machine: GPU"
    if device == "cpu":
        return Finding("ok", check, "none is asked for (device=cpu)")
    wanted = int(device.partition(":")[2] or 0) if device.startswith("cuda") else -1
    driver = f"driver {machine.driver}" if machine.driver else "no NVIDIA driver"
    if machine.gpus:
        found = f"{', '.join(machine.gpus)} with {driver} and CUDA {machine.torch_cuda}"
        if wanted < len(machine.gpus):
            return Finding("ok", check, found)
        return Finding("error", check, f"device={device}, but {found}", "Set device=auto.")
    fault = _cuda_fault(machine)
    if fault is not None:
        found, remedy = fault
        return Finding("error", check, found, remedy)
    if machine.driver:
        found = f"{driver}, but torch sees no GPU"
        remedy = "Look at CUDA_VISIBLE_DEVICES, and start a container with its GPUs (--gpus all)."
        return Finding("error" if wanted >= 0 else "warning", check, found, remedy)
    if wanted >= 0:
        remedy = "Set trainer.device=auto, or go to a machine with a GPU."
        return Finding("error", check, f"device={device}, but there is {driver}", remedy)
    return Finding("ok", check, f"{driver}: the CPU is used")


def _cuda_fault(machine: Machine) -> tuple[str, str] | None:
    """What keeps a present driver from being used, and the remedy."""
    if machine.driver is None:
        return None
    if machine.torch_cuda is None:
        found = f"driver {machine.driver}, but torch {machine.torch} is built for the CPU alone"
        return found, "Install torch with CUDA: pip install -r requirements.txt."
    needed = DRIVERS.get(int(machine.torch_cuda.partition(".")[0]), 0)
    if int(machine.driver.partition(".")[0]) >= needed:
        return None
    cuda = f"CUDA {machine.torch_cuda} of torch {machine.torch}"
    found = f"driver {machine.driver}, but {cuda} needs {needed} or newer"
    return found, f"Update NVIDIA's driver to {needed}, or install a torch for an older CUDA."


def judge_formats(machine: Machine) -> list[Finding]:
    """Whether audio can be read; without FLAC and WAV nothing can be learnt from."""
    broken = [(name, fault) for name, fault in machine.formats if fault is not None]
    whole = [name for name, fault in machine.formats if fault is None]
    findings = []
    if whole:
        findings.append(Finding("ok", "machine: audio", f"{', '.join(whole)} written and read"))
    for name, fault in broken:
        severity: Severity = "error" if name in ("flac", "wav") else "warning"
        library = "av" if name == "m4a" else "soundfile"
        remedy = f"Install {library} anew: pip install --force-reinstall {library}."
        if "No space" in str(fault):
            remedy = "Make room in the folder for temporary files, or set TMPDIR to another."
        findings.append(Finding(severity, "machine: audio", f"{name}: {fault}", remedy))
    return findings


def judge_wandb(machine: Machine, mode: str | None) -> Finding:
    """Whether Weights & Biases can do what ``mode`` says; nothing is sent."""
    check = "machine: W&B"
    if mode is None:
        return Finding("ok", check, "not used")
    if mode == "disabled":
        return Finding("ok", check, "writer.mode=disabled")
    if not machine.wandb:
        remedy = "Install it with pip install wandb, or set writer=none."
        return Finding("error", check, f"writer.mode={mode}, but wandb is not installed", remedy)
    if mode not in ("online", "offline", "disabled"):
        remedy = "Set writer.mode to online, offline or disabled."
        return Finding("error", check, f"writer.mode={mode} does not exist", remedy)
    if mode == "online" and not machine.wandb_key:
        found = "writer.mode=online, but there is no key, so the run will be offline"
        remedy = "Run `wandb login`, set WANDB_API_KEY, or say writer.mode=offline."
        return Finding("warning", check, found, remedy)
    key = "a key is" if machine.wandb_key else "no key is"
    return Finding("ok", check, f"writer.mode={mode}, {key} there")
