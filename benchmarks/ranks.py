"""Seconds of audio per second of two gloo ranks with one thread each, against one such rank.

Both learn from the same global batch: the one rank has all of it, each of two a half. What is
timed is the whole step: augmentation, forward, backward, sums over the ranks, optimiser. Two
processes that do not talk to each other, a half each as well, show what the machine can give.

python -m benchmarks.ranks [--seconds 640] [--steps 3] [--repeats 5] [--model small]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.report import report

ROOT = Path(__file__).resolve().parents[1]
WARM_UP = 2
ONE, TWO, APART = "one rank", "two ranks", "two that do not talk"
KINDS = {ONE: (1, 1), TWO: (2, 1), APART: (1, 2)}  # ranks of a run, runs beside each other


def work(file: Path, seconds: float, steps: int, model: str) -> None:
    """One process: train on noise and write the speed of all ranks together.

    Args:
        seconds: of audio in the batch of this process.
    """
    from benchmarks.learners import make_learner, noise_batch

    learner = make_learner(f"model={model}", device="cpu", threads=1)
    engine = learner.engine
    batch = noise_batch(seconds, seed=engine.rank)
    started = 0.0
    for step in range(WARM_UP + steps):
        if step == WARM_UP:
            engine.barrier()
            started = time.perf_counter()
        learner.step([batch], step)
    engine.barrier()
    elapsed = time.perf_counter() - started
    audio = float(engine.host.numbers(batch.duration).sum()) * steps
    if engine.is_main:
        speed = {"speed": audio / elapsed, "ranks": engine.world_size}
        file.write_text(json.dumps(speed), encoding="utf-8")
    engine.close()


def measure(kind: str, chosen: argparse.Namespace) -> float:
    """Seconds of audio per second of one of :data:`KINDS`, in processes of their own."""
    ranks, processes = KINDS[kind]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(ranks)]
    share = chosen.seconds / (ranks * processes)
    options = [f"--seconds={share}", f"--steps={chosen.steps}", f"--model={chosen.model}"]
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number}.json" for number in range(processes)]
        started = [
            subprocess.Popen(
                [
                    sys.executable,
                    *(launcher if ranks > 1 else []),
                    *("-m", "benchmarks.ranks", "--worker", str(file), *options),
                ],
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
            for file in files
        ]
        failed = [process.args for process in started if process.wait()]
        if failed:
            raise SystemExit(f"failed: {failed}")
        found = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    assert all(each["ranks"] == ranks for each in found)
    return round(sum(each["speed"] for each in found), 1)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Two ranks against one.")
    parser.add_argument("--seconds", type=float, default=640.0, help="of audio in a global batch")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--model", default="small")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.worker:
        work(chosen.worker, chosen.seconds, chosen.steps, chosen.model)
        return
    speeds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(chosen.repeats):
        for kind, found in speeds.items():
            found.append(measure(kind, chosen))
            print(f"{kind}: {found[-1]:.1f} seconds of audio per second")
    middle = {kind: statistics.median(found) for kind, found in speeds.items()}
    torch.set_num_threads(1)
    print(
        report(
            "ranks",
            ours=middle[TWO],
            theirs=middle[ONE],
            unit="seconds of audio per second",
            against="one rank with one thread, same global batch",
            two_that_do_not_talk=middle[APART],
            ratio_to_these=round(middle[TWO] / middle[APART], 3),
            global_batch_seconds=chosen.seconds,
            model=chosen.model,
            all_runs=speeds,
        )
    )


if __name__ == "__main__":
    main()
