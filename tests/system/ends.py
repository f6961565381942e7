"""Starting programs, and what reads their output, for tests of how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.conftest import ENVIRONMENT
from tests.toy import ROOT

fcntl = pytest.importorskip("fcntl", reason="terminals are POSIX")
termios = pytest.importorskip("termios")

UNTIL = "tests/system/until.py"


def start(
    *arguments: str, output: int = subprocess.PIPE, nohup: bool = False, **environment: str
) -> subprocess.Popen[str]:
    def prepare() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # which shells ignore in the background
        signal.signal(signal.SIGHUP, signal.SIG_IGN if nohup else signal.SIG_DFL)
        if os.isatty(1):  # the session's own terminal, from which it gets SIGHUP
            fcntl.ioctl(1, termios.TIOCSCTTY, 0)

    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **ENVIRONMENT, "PYTHONPATH": str(ROOT), **environment},
        stdout=output,
        stderr=output,
        text=True,
        start_new_session=True,
        preexec_fn=prepare,
    )


@contextmanager
def listener(event: str) -> Iterator[tuple[int, str]]:
    """What a training writes into, and the process that reads it; the test itself for most."""
    if event not in ("pipe", "terminal", "nohup terminal"):
        yield subprocess.PIPE, ""
        return
    try:
        read, write = os.pipe() if event == "pipe" else os.openpty()
    except OSError:
        pytest.skip("the system gives no terminals")
    with subprocess.Popen(["tee", os.devnull], stdin=read, stdout=subprocess.DEVNULL) as process:
        os.close(read)
        try:
            yield write, str(process.pid)
        finally:
            os.close(write)
            process.kill()


def left_over(session: int) -> list[str]:
    """Processes that the program has left behind."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its_session = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:  # ended meanwhile
            continue
        if int(its_session) == session and state != "Z":
            found.append(stat.parent.name)
    return found


def end(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What it printed; nothing of it is left."""
    out, error = process.communicate(timeout=400)
    deadline = time.monotonic() + 20
    while left_over(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left_over(process.pid)
    return out, error
