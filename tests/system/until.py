"""Runs a program as a user does, and lets something happen at a call of one of its functions.

``python tests/system/until.py PLACE CALL EVENT PROGRAM [WORD …]``
"""

from __future__ import annotations

import multiprocessing
import os
import pkgutil
import runpy
import signal
import sys
import time
from pathlib import Path
from typing import Any


def happen(event: str) -> None:
    Path(os.environ["HAPPENED"]).write_text(str(time.time()), "ascii")
    if event == "error":
        raise KeyError("a bug")
    if event == "reader":
        for process in multiprocessing.active_children():
            process.kill()
            process.join()
    elif event in ("pipe", "terminal", "nohup terminal"):
        listener = os.environ["LISTENER"]
        os.kill(int(listener), signal.SIGKILL)
        while Path(f"/proc/{listener}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            time.sleep(0.01)
    elif event == "log disk":
        for path in Path("/proc/self/fd").iterdir():
            if os.path.realpath(path).endswith(("info.log", "metrics.jsonl")):
                os.dup2(os.open("/dev/full", os.O_WRONLY), int(path.name))
    elif event == "rank":
        if os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGKILL)
    elif event != "success":
        os.killpg(0, getattr(signal, event.removeprefix("nohup ")))


def at(place: str, number: int, event: str) -> None:
    path, _, name = place.rpartition(".")
    owner = pkgutil.resolve_name(path)
    function, calls = getattr(owner, name), 0

    def wrapped(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            happen(event)
        return function(*args, **options)

    setattr(owner, name, wrapped)


if __name__ == "__main__":
    at(sys.argv[1], int(sys.argv[2]), sys.argv[3])
    sys.argv[:] = sys.argv[4:]
    runpy.run_path(sys.argv[0], run_name="__main__")
