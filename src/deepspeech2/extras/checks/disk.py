"""How much room a run needs on its disks, and how much there is."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deepspeech2.extras.checks.finding import Finding

CACHE_BYTES_PER_SECOND = 32_000
"""Of a disk cache: 16,000 samples of 16 bit."""

_FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Demand:
    """``needed`` bytes below ``place`` for ``purpose``, with the key that makes it smaller."""

    purpose: str
    place: Path
    needed: int
    remedy: str


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system that ``place`` lies on: its number and its free bytes."""

    place: Path
    device: int
    free: int


def disk_of(place: Path) -> Disk:
    """The disk of ``place``, which need not exist yet."""
    there = place.absolute()
    while not there.exists():
        there = there.parent
    return Disk(place, os.stat(there).st_dev, shutil.disk_usage(there).free)


def checkpoint_bytes(n_parameters: int, *, ema: bool = False) -> int:
    """A checkpoint to resume from: weights, two moments of Adam, and perhaps averaged weights."""
    return _FLOAT_BYTES * n_parameters * (4 if ema else 3)


def kept_checkpoints(n_epochs: int, save_period: int) -> int:
    """How many files lie beside each other: epochs, the last, the best, and one half-written."""
    return math.ceil(n_epochs / save_period) + 3


def run_demand(run_folder: Path, size: int, number: int) -> Demand:
    """The room for ``number`` checkpoints of ``size`` bytes, less those that are there already."""
    there = _bytes_in(run_folder, "*.pth")
    return Demand(
        f"{number} checkpoints of {size / 1e6:.0f} MB",
        run_folder,
        max(0, number * size - there),
        "raise trainer.save_period or set trainer.save_dir to another disk",
    )


def cache_demand(cache_dir: Path, seconds: float) -> Demand:
    """The room for ``seconds`` of decoded audio, less what the folder holds already."""
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


def judge_disks(demands: Sequence[Demand], disks: Iterable[Disk]) -> list[Finding]:
    """One finding for each disk: whether all that is demanded of it fits together."""
    by_place = {disk.place: disk for disk in disks}
    shares: dict[int, list[Demand]] = {}
    for demand in demands:
        shares.setdefault(by_place[demand.place].device, []).append(demand)
    findings = []
    for share in shares.values():
        free = by_place[share[0].place].free
        needed = sum(demand.needed for demand in share)
        purposes = " and ".join(f"{demand.purpose} in {demand.place}" for demand in share)
        found = f"{_size(free)} are free, {purposes} need {_size(needed)}"
        if needed <= free:
            findings.append(Finding("ok", "machine: disk", found))
            continue
        remedies = ", or ".join(demand.remedy for demand in share if demand.needed)
        findings.append(Finding("error", "machine: disk", found, f"Make room, {remedies}."))
    return findings


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:.1f} MB"
