"""Which splits of LibriSpeech lie on the disk; nothing is downloaded to find out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deepspeech2.datasets.download import SPLITS
from deepspeech2.datasets.librispeech import GROUPS, find_part
from deepspeech2.datasets.subsets import SHARES
from deepspeech2.errors import ManifestError
from deepspeech2.extras.checks.disk import Demand
from deepspeech2.extras.checks.finding import Finding


def present_and_missing(part: str | Sequence[str], root: Path) -> tuple[list[str], list[str]]:
    """The parts that lie below ``root`` or are no known split, and the splits that do not.

    Raises:
        ConfigError: a part leads out of ``root``.
    """
    names = [part] if isinstance(part, str) else list(part)
    parts = [split for name in names for split in GROUPS.get(name, (name,))]
    absent = [
        split for split in parts if (split in SPLITS or split in SHARES) and not _there(split, root)
    ]
    missing = list(dict.fromkeys(SHARES.get(split, split) for split in absent))
    return [split for split in parts if split not in absent], missing


def _there(split: str, root: Path) -> bool:
    try:
        find_part(split, root, download=False)
    except ManifestError:
        return False
    return True


def judge_missing(area: str, missing: Sequence[str], root: Path) -> tuple[Finding, Demand]:
    """What training would download, and the room for the archives and for what is in them."""
    size = sum(SPLITS[split].size for split in missing)
    names = ", ".join(missing)
    found = f"{names} not in {root}, so training downloads {size / 1e9:.1f} GB first"
    remedy = "Set data_dir to where they lie, or let training download them."
    demand = Demand(f"the download of {names}", root, 2 * size, "set data_dir to another disk")
    return Finding("warning", f"{area}: presence", found, remedy), demand
