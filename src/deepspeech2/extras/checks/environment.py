"""The machine: facts about it, whether they fit a run, and the room on its disks."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import math
import netrc
import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

import torch

from deepspeech2.extras.checks.audio_check import judge_formats
from deepspeech2.extras.checks.finding import Finding, Severity
from deepspeech2.settings import TrainerSettings

DRIVERS = {11: 450, 12: 525, 13: 580}
"""The oldest NVIDIA driver that runs a program built with each major version of CUDA.

NVIDIA, CUDA Toolkit Release Notes, table "Minimum Required Driver Version for CUDA Minor Version
Compatibility", column Linux.
"""

CACHE_BYTES_PER_SECOND = 32_000
"""Of a disk cache: 16,000 samples of 16 bit."""

_PAIR = "Install the pair that belongs together: pip install -r requirements.txt."
_PROC = Path("/proc/driver/nvidia/version")
_DRIVER = re.compile(r"\b(\d{3}\.\d+(?:\.\d+)?)\b")


@dataclass(frozen=True, slots=True)
class Machine:
    """Facts about this machine.

    Attributes:
        torch: its version.
        torch_cuda: the version of CUDA that torch was built with; None for the CPU alone.
        torchaudio: its version; None if it is not installed.
        torchaudio_fault: what importing it raises; None if nothing, or if that was not tried.
        driver: version of NVIDIA's driver; None if there is none.
        gpus: names of the GPUs that torch sees.
        wandb: whether the package is installed.
        wandb_key: whether Weights & Biases has a key here.
        apple_gpu: whether torch sees a GPU of Apple's.
    """

    torch: str
    torch_cuda: str | None
    torchaudio: str | None
    torchaudio_fault: str | None
    driver: str | None
    gpus: tuple[str, ...]
    wandb: bool
    wandb_key: bool
    apple_gpu: bool = False


def gather(*, thorough: bool) -> Machine:
    """Collect the facts of this machine, without asking any other.

    Args:
        thorough: also import torchaudio, in a process of its own, which takes seconds.
    """
    torchaudio = None
    with suppress(importlib.metadata.PackageNotFoundError):
        torchaudio = importlib.metadata.version("torchaudio")
    return Machine(
        torch=str(torch.__version__),
        torch_cuda=torch.version.cuda,
        torchaudio=torchaudio,
        torchaudio_fault=_import_fault("torchaudio") if thorough and torchaudio else None,
        driver=_driver(),
        gpus=_gpus(),
        wandb=importlib.util.find_spec("wandb") is not None,
        wandb_key=has_wandb_key(),
        apple_gpu=torch.backends.mps.is_available(),
    )


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
        version = _DRIVER.search(_PROC.read_text(encoding="utf-8", errors="replace"))
        if version:
            return version[1]
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    query = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = _DRIVER.search(done.stdout)
    return version[1] if version else None


def _gpus() -> tuple[str, ...]:
    with warnings.catch_warnings():  # torch warns of a driver that is too old; so do we
        warnings.simplefilter("ignore")
        if not torch.cuda.is_available():
            return ()
        return tuple(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))


def has_wandb_key() -> bool:
    """Return whether Weights & Biases has a key here; keys are not kept, shown or sent.

    It may be in the environment, or in the netrc file for the server in use.
    """
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    server = os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai"
    named = os.environ.get("NETRC")
    for file in map(Path, [named] if named else ["~/.netrc", "~/_netrc"]):
        with suppress(OSError, netrc.NetrcParseError):
            if (urlparse(server).hostname or "") in netrc.netrc(str(file.expanduser())).hosts:
                return True
    return False


def judge_machine(machine: Machine, device: str) -> list[Finding]:
    """Judge torch with torchaudio, the GPU and the audio formats.

    Args:
        device: as in ``trainer.device``.
    """
    return [_judge_pair(machine), _judge_gpu(machine, device), *judge_formats()]


def _judge_pair(machine: Machine) -> Finding:
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
    """Whether major and minor version are the same, and the build where both name one."""
    ours, _, build = torch_version.partition("+")
    theirs, _, other = audio_version.partition("+")
    same_build = not (build and other) or build == other
    return ours.split(".")[:2] == theirs.split(".")[:2] and same_build


def _judge_gpu(machine: Machine, device: str) -> Finding:
    """Whether torch, its CUDA and the driver together make the device usable."""
    check = "machine: GPU"
    if device == "cpu":
        return Finding("ok", check, "none is asked for (device=cpu)")
    if machine.apple_gpu and device in ("auto", "mps"):
        return Finding("ok", check, "Apple's GPU for the network, the CPU for the rest")
    if device == "mps":
        found = "device=mps, but torch sees no Apple GPU"
        return Finding("error", check, found, "Set trainer.device=auto.")
    wanted = int(device.partition(":")[2] or 0) if device.startswith("cuda") else -1
    driver = f"driver {machine.driver}" if machine.driver else "no NVIDIA driver"
    if machine.gpus:
        found = f"{', '.join(machine.gpus)} with {driver} and CUDA {machine.torch_cuda}"
        if wanted < len(machine.gpus):
            return Finding("ok", check, found)
        return Finding("error", check, f"device={device}, but {found}", "Set device=auto.")
    if machine.driver is None:
        if wanted < 0:
            return Finding("ok", check, f"{driver}: the CPU is used")
        remedy = "Set trainer.device=auto, or go to a machine with a GPU."
        return Finding("error", check, f"device={device}, but there is {driver}", remedy)
    # there is a driver, but torch sees no GPU: one of three reasons
    if machine.torch_cuda is None:
        found = f"{driver}, but torch {machine.torch} is built for the CPU alone"
        remedy = "Install torch with CUDA: pip install -r requirements.txt."
        return Finding("error", check, found, remedy)
    needed = DRIVERS.get(int(machine.torch_cuda.partition(".")[0]), 0)
    if int(machine.driver.partition(".")[0]) < needed:
        cuda = f"CUDA {machine.torch_cuda} of torch {machine.torch}"
        remedy = f"Update NVIDIA's driver to {needed}, or install a torch for an older CUDA."
        return Finding("error", check, f"{driver}, but {cuda} needs {needed} or newer", remedy)
    remedy = "Look at CUDA_VISIBLE_DEVICES, and start a container with its GPUs (--gpus all)."
    severity: Severity = "error" if wanted >= 0 else "warning"
    return Finding(severity, check, f"{driver}, but torch sees no GPU", remedy)


def judge_wandb(machine: Machine, mode: str | None) -> Finding:
    """Whether Weights & Biases can do what ``mode`` says; nothing is sent.

    Args:
        mode: online, offline or disabled; None if another writer is used.
    """
    check = "machine: W&B"
    if mode is None:
        return Finding("ok", check, "not used")
    if mode == "disabled":
        return Finding("ok", check, "writer.mode=disabled")
    if not machine.wandb:
        remedy = "Install it with pip install wandb, or set writer=none."
        return Finding("error", check, f"writer.mode={mode}, but wandb is not installed", remedy)
    if mode == "online" and not machine.wandb_key:
        found = "writer.mode=online, but there is no key, so the run will be offline"
        remedy = "Run `wandb login`, set WANDB_API_KEY, or say writer.mode=offline."
        return Finding("warning", check, found, remedy)
    key = "a key is" if machine.wandb_key else "no key is"
    return Finding("ok", check, f"writer.mode={mode}, {key} there")


@dataclass(frozen=True, slots=True)
class Demand:
    """``needed`` bytes below ``place`` for ``purpose``, with the key that makes it smaller."""

    purpose: str
    place: Path
    needed: int
    remedy: str


def checkpoint_demand(run_folder: Path, n_parameters: int, settings: TrainerSettings) -> Demand:
    """The room for a run's checkpoints, less those that are there already.

    A checkpoint has float32 weights, two moments of Adam, and perhaps averaged weights. Beside
    those of the epochs there are the last, the best and one half-written.
    """
    size = 4 * n_parameters * (3 if settings.ema is None else 4)
    number = math.ceil(settings.n_epochs / settings.save_period) + 3
    return Demand(
        f"{number} checkpoints of {size / 1e6:.0f} MB",
        run_folder,
        max(0, number * size - _bytes_in(run_folder, "*.pth")),
        "raise trainer.save_period or set trainer.save_dir to another disk",
    )


def cache_demand(cache_dir: Path, seconds: float) -> Demand:
    """The room for ``seconds`` of decoded audio, less what is in the folder already."""
    return Demand(
        f"{seconds / 3600:.2f} h of decoded audio",
        cache_dir,
        max(0, round(CACHE_BYTES_PER_SECOND * seconds) - _bytes_in(cache_dir, "**/*")),
        "set dataloader.cache=none or dataloader.cache_dir to another disk",
    )


def _bytes_in(folder: Path, pattern: str) -> int:
    total = 0
    for file in folder.glob(pattern):
        with suppress(OSError):  # another process may have removed it by now
            total += file.stat().st_size
    return total


def disk_of(place: Path) -> tuple[int, int]:
    """Number of the file system of ``place``, which need not exist yet, and its free bytes."""
    there = place.absolute()
    while not there.exists():
        there = there.parent
    return os.stat(there).st_dev, shutil.disk_usage(there).free


def judge_disks(
    demands: Sequence[Demand], disk_of: Callable[[Path], tuple[int, int]] = disk_of
) -> list[Finding]:
    """One finding for each disk: whether everything demanded of it fits together."""
    by_disk: dict[int, list[Demand]] = {}
    free_bytes: dict[int, int] = {}
    for demand in demands:
        number, free = disk_of(demand.place)
        by_disk.setdefault(number, []).append(demand)
        free_bytes.setdefault(number, free)
    findings = []
    for number, together in by_disk.items():
        free, needed = free_bytes[number], sum(demand.needed for demand in together)
        purposes = " and ".join(f"{demand.purpose} in {demand.place}" for demand in together)
        found = f"{_size(free)} are free, {purposes} need {_size(needed)}"
        if needed <= free:
            findings.append(Finding("ok", "machine: disk", found))
            continue
        remedies = ", or ".join(demand.remedy for demand in together if demand.needed)
        findings.append(Finding("error", "machine: disk", found, f"Make room, {remedies}."))
    return findings


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:.1f} MB"
