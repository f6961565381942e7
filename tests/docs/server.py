"""Runs what the documentation says, in forks of a process that has imported everything once.

Started as ``python server.py STAGE SOCKET BUILT URL``, it builds a stage in BUILT first, with URL
as the source of the predecessor's checkpoint. Paths that count from the repository's root count
from STAGE, so that nothing of the repository is written; commands are those of the documents,
with a few words behind them that make them small.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:1] = [str(REPOSITORY), str(REPOSITORY / "tools")]

import deepspeech2.paths  # noqa: E402

deepspeech2.paths.ROOT = Path(sys.argv[1]).resolve()
deepspeech2.paths.CONFIGS = deepspeech2.paths.ROOT / "configs"

from leaderboard import scoring  # noqa: E402

from tests.docs import programs, stage  # noqa: E402

scoring.SIZES.update(dict.fromkeys(scoring.SIZES, stage.SPOKEN))  # a whole split is no larger here

PRELOADED = (
    "deepspeech2.commands.train", "deepspeech2.commands.infer", "deepspeech2.commands.calibrate",
    "deepspeech2.commands.tune_decoder", "deepspeech2.commands.preview",
    "deepspeech2.commands.doctor", "deepspeech2.commands.robustness",
    "deepspeech2.commands.train_lm", "deepspeech2.extras.interchange.exporting",
    "deepspeech2.extras.interchange.onnx_export",
    "deepspeech2.commands.download_model", "deepspeech2.extras.serving",
    "deepspeech2.metrics.html", "leaderboard.ablation", "deepspeech2.inference.streaming",
    "onnxruntime", "uvicorn", "matplotlib.pyplot", "torch._dynamo", "torch.distributed.run",
    "lightning_fabric",
)  # fmt: skip


def main() -> None:
    for name in PRELOADED:
        importlib.import_module(name)
    os.chdir(deepspeech2.paths.ROOT)
    if forked(build, [0, 2, 2]):
        sys.exit(1)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(sys.argv[2])
        listener.listen()
        print("ready", flush=True)
        while True:
            line, _ = listener.accept()
            with line:
                head, streams, *_ = socket.recv_fds(line, 4, 3)
                with line.makefile("rb") as reader:
                    asked = json.loads(reader.read(int.from_bytes(head, "big")))
                status = forked(lambda asked=asked: answer(asked), streams)
                for stream in streams:
                    os.close(stream)
                line.sendall(str(status).encode())


def build() -> int:
    stage.build(Path(sys.argv[3]), sys.argv[4])
    return 0


def answer(asked: dict[str, Any]) -> int:
    """Do what tests/docs/shim.py asks for, in the environment of its caller."""
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    return call(asked["argv"])


def forked(task: Callable[[], int], streams: Sequence[int]) -> int:
    """The exit status of a task, which runs in a process of its own with these streams."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        status = task()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status & 255)


def call(argv: list[str]) -> int:
    """Run a command line; its exit status."""
    try:
        what = programs.rehearsed(argv)
        if isinstance(what, int):
            return what
        target, sys.argv = what[0], what[1:]
        if target == "-m":
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        else:
            sys.path.insert(0, str(Path(target).parent))
            runpy.run_path(target, run_name="__main__")
    except SystemExit as stop:
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
            return 1
        return int(stop.code or 0)
    return 0


if __name__ == "__main__":
    main()
