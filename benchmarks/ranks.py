"""Seconds of audio per second of two gloo ranks with one thread each, against one such rank.

Both learn from the same global batch: the one rank has all of it, each of two a half. What is
timed is the whole step: augmentation, forward, backward, sums over the ranks, optimiser.

python -m benchmarks.ranks [--seconds 320] [--steps 6] [--repeats 3] [--model small]
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


def work(file: Path, seconds: float, steps: int, model: str) -> None:
    """One rank: train on noise and write the speed of all ranks together."""
    from benchmarks.learners import make_learner, noise_batch

    learner = make_learner(f"model={model}", device="cpu", threads=1)
    engine = learner.engine
    batch = noise_batch(seconds / engine.world_size, seed=engine.rank)
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


def measure(ranks: int, options: list[str]) -> float:
    """Seconds of audio per second of so many ranks in processes of their own."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(ranks)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "speed.json"
        words = ["-m", "benchmarks.ranks", "--worker", str(file), *options]
        subprocess.run(
            [sys.executable, *(launcher if ranks > 1 else []), *words],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=True,
        )
        found = json.loads(file.read_text(encoding="utf-8"))
    assert found["ranks"] == ranks
    return float(found["speed"])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Two ranks against one.")
    parser.add_argument("--seconds", type=float, default=320.0, help="of audio in a global batch")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--model", default="small")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.worker:
        work(chosen.worker, chosen.seconds, chosen.steps, chosen.model)
        return
    options = [f"--seconds={chosen.seconds}", f"--steps={chosen.steps}", f"--model={chosen.model}"]
    speeds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(chosen.repeats):
        for ranks, found in speeds.items():
            found.append(round(measure(ranks, options), 1))
            print(f"{ranks} rank(s): {found[-1]:.1f} seconds of audio per second")
    torch.set_num_threads(1)
    print(
        report(
            "ranks",
            ours=round(statistics.median(speeds[2]), 1),
            theirs=round(statistics.median(speeds[1]), 1),
            unit="seconds of audio per second",
            against="one rank with one thread, same global batch",
            global_batch_seconds=chosen.seconds,
            model=chosen.model,
            all_runs={f"{ranks} ranks": found for ranks, found in speeds.items()},
        )
    )


if __name__ == "__main__":
    main()
