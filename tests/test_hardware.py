"""The processors that this process may use."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import torch

from deepspeech2 import hardware
from deepspeech2.devices import use_threads
from deepspeech2.errors import ConfigError
from deepspeech2.hardware import cpus
from deepspeech2.paths import ROOT

FILES = {
    "version 2": ("0::/a/b\n", {"a/b/cpu.max": "250000 100000"}),
    "a limit above": ("0::/a/b\n", {"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}),
    "a container's own": ("0::/\n", {"cpu.max": "250000 100000"}),
    "names from outside": ("0::/../../docker/x\n", {"cpu.max": "250000 100000"}),
    "version 1": (
        "5:memory:/\n4:cpu,cpuacct:/job\n0::/\n",
        {
            "cpu,cpuacct/job/cpu.cfs_quota_us": "250000",
            "cpu,cpuacct/job/cpu.cfs_period_us": "100000",
        },
    ),
    "version 1 by the short name": (
        "4:cpu:/job\n",
        {"cpu/job/cpu.cfs_quota_us": "30000", "cpu/job/cpu.cfs_period_us": "10000"},
    ),
}


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(hardware, "_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(hardware, "_OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    return tmp_path


def lay(folder: Path, own: str, files: dict[str, str]) -> None:
    (folder / "own").write_text(own)
    for name, text in files.items():
        path = folder / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")


@pytest.mark.parametrize(("own", "files"), FILES.values(), ids=FILES)
def test_a_quota_counts_rounded_up(groups: Path, own: str, files: dict[str, str]) -> None:
    lay(groups, own, files)
    assert cpus() == 3


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "max 100000"}, 16),
        ("0::/\n", {"cpu.max": "10000 100000"}, 1),
        ("0::/\n", {"cpu.max": "9900000 100000"}, 16),
        ("0::/\n", {"cpu.max": "nonsense"}, 16),
        ("4:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 16),
        ("", {}, 16),
    ],
)
def test_no_more_than_the_affinity_and_no_less_than_one(
    groups: Path, own: str, files: dict[str, str], expected: int
) -> None:
    lay(groups, own, files)
    assert cpus() == expected


def test_without_affinity_or_control_groups(groups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert cpus() == 5
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cpus() == 1


def test_torch_takes_no_more_threads_than_there_are_processors(
    groups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(groups, "0::/\n", {"cpu.max": "200000 100000"})
    chosen: list[int] = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 16)
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    use_threads(None)
    use_threads(5)
    assert chosen == [2, 5]
    with pytest.raises(ConfigError, match="threads must be at least 1, but is 0"):
        use_threads(0)


def test_all_programs_ask_one_function() -> None:
    """``os.cpu_count`` knows neither affinity nor quota; a load is that of the whole machine."""
    found = subprocess.run(
        ["git", "grep", "-lE", "cpu_count|sched_getaffinity", "--", "*.py", ":!tests"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert found.stdout.split() == ["benchmarks/bench.py", "src/deepspeech2/hardware.py"]
