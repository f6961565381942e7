"""Disks that are full, and what killed writers leave on them."""

from __future__ import annotations

import codecs
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deepspeech2 import files


def remains(path: Path) -> Path:
    """Where a writer of ``path`` that is dead by now left what it had."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    name = files._temporary(path).name
    return path.with_name(name.replace(f"-{os.getpid()}-", f"-{dead.pid}-"))


@contextmanager
def full_disk(most: int = 0) -> Iterator[None]:
    """Within, no file grows beyond ``most`` bytes: the system refuses the next, as if full."""
    resource = pytest.importorskip("resource", reason="limits are POSIX")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Within, permissions count, which they do not for root."""
    if not hasattr(os, "seteuid"):
        pytest.skip("users are POSIX")
    for encoding in ("ascii", "utf-8-sig"):  # imported when needed, which nobody may not
        codecs.lookup(encoding)
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)
