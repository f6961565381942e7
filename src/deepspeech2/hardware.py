"""What a figure was measured on, and the processors that this process may use."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterator
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")


def processor() -> str:
    """The processor's name as the system gives it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cpus() -> int:
    """Processors that this process may use: by its affinity, and by its control groups' quota.

    A container with a quota sees all processors of the machine and gets the time of a few; part
    of one counts as one.
    """
    usable = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        usable = len(os.sched_getaffinity(0))
    quota = min(map(_quota, _own_groups()), default=math.inf)
    return usable if quota >= usable else max(1, math.ceil(quota))


def _own_groups() -> Iterator[Path]:
    """Folders of the control groups that limit this process, by either version of the kernel's.

    A group's limit counts for all below it. The names may be those outside a container, whose
    folders do not exist in it; the mount's own folder is then the container's.
    """
    try:
        lines = _OWN_GROUPS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, place = rest.partition(":")
        if not controllers:  # version 2, alone or beside version 1
            mounts = [_GROUPS, _GROUPS / "unified"]
        elif "cpu" in controllers.split(","):
            mounts = [_GROUPS / controllers, _GROUPS / "cpu"]
        else:
            continue
        for mount in mounts:
            yield mount
            for part in Path(place).parts:
                if part not in ("/", ".."):
                    mount = mount / part
                    yield mount


def _quota(group: Path) -> float:
    """Processors' worth of time that a control group gives; infinity where it has no limit."""
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            text = " ".join((group / name).read_text(encoding="ascii") for name in names)
            quota, period = map(int, text.split())
        except (OSError, ValueError):  # absent, or "max" for no limit
            continue
        if quota > 0 and period > 0:
            return quota / period
    return math.inf
