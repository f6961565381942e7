"""Seconds until all of LibriSpeech is loaded from its index and 50 epochs are planned.

281,241 made-up utterances with the durations of the real ones, as empty files in LibriSpeech's
three training splits: everything happens that happens at the start of a real run with an index
from an earlier one, which includes asking every file for its size and time of change.

Theirs is what one would write down first: each line of the same indices through ``json.loads``,
and for every epoch ``sorted`` and one utterance after another into a batch. It looks at no file.
Each is measured in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

N_EPOCHS, MAX_BATCH_DURATION, JITTER = 50, 640.0, 0.02
SPLITS = {"train-clean-100": 28539, "train-clean-360": 104014, "train-other-500": 148688}
UTTERANCES_IN_A_CHAPTER = 51
TEXT = "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG AND RUNS AWAY "  # 14 characters a second


def made_up_durations(number: int, seed: int) -> list[float]:
    """Seconds as in train-960: two thirds around 14.3, the others from 1.3 on, none over 24.5."""
    import numpy as np

    rng = np.random.default_rng(seed)
    bulk, rest = rng.normal(14.3, 1.3, number), rng.uniform(1.3, 15, number)
    odd = rng.uniform(16, 24.5, number)
    kind = rng.random(number)
    chosen = np.where(kind < 0.67, bulk, np.where(kind < 0.997, rest, odd))
    durations: list[float] = (np.round(chosen.clip(1.3, 24.5) * 200) / 200).tolist()
    return durations


def make(root: Path) -> dict[str, object]:
    """Write the splits below ``root`` and their indices to ``root/index``."""
    from deepspeech2.audio.reading import AudioInfo
    from deepspeech2.datasets.index import open_index

    total = 0.0
    for seed, (split, number) in enumerate(SPLITS.items()):
        durations = made_up_durations(number, seed)
        total += sum(durations)
        for first in range(0, number, UTTERANCES_IN_A_CHAPTER):
            chapter = first // UTTERANCES_IN_A_CHAPTER
            speaker = seed * 1000 + chapter // 3
            folder = root / split / str(speaker) / str(100_000 + chapter)
            folder.mkdir(parents=True)
            prefix = f"{speaker}-{100_000 + chapter}"
            lines = []
            for place, duration in enumerate(durations[first : first + UTTERANCES_IN_A_CHAPTER]):
                (folder / f"{prefix}-{place:04d}.flac").touch()
                text = (TEXT * 6)[: max(1, round(14 * duration))].strip()
                lines.append(f"{prefix}-{place:04d} {text}\n")
            (folder / f"{prefix}.trans.txt").write_text("".join(lines), encoding="ascii")
        # Files are listed in the order of their names, which does not matter to durations.
        infos = [AudioInfo(duration, 16000, 1) for duration in durations]
        with mock.patch(
            "deepspeech2.datasets.folders.probe_all", lambda *_, infos=infos, **__: infos
        ):
            open_index(root / split, root / "index", split)
    return {"hours": total / 3600}


def ours(root: Path) -> dict[str, object]:
    """As deepspeech2.config does it."""
    from deepspeech2.datasets import LibriSpeechCorpus, SpeechDataset, SpeechLoader

    imported = peak_memory()
    times, processor = [time.perf_counter()], time.process_time()
    corpus = LibriSpeechCorpus("train_all", root, index_dir=root / "index", download=False)
    times.append(time.perf_counter())
    loader = SpeechLoader(
        SpeechDataset(corpus.utterances, lambda text: []), max_batch_duration=MAX_BATCH_DURATION
    )
    steps = loader.total_steps(N_EPOCHS)
    times.append(time.perf_counter())
    planned = sum(len(loader.sampler.batches(epoch)) for epoch in range(N_EPOCHS))
    times.append(time.perf_counter())
    processor = time.process_time() - processor  # less than by the clock on a busy machine
    assert planned == steps
    return {
        "seconds": times[1] - times[0] + times[3] - times[2],
        "loading_seconds": times[1] - times[0],
        "counting_seconds": times[2] - times[1],
        "planning_seconds": times[3] - times[2],
        "processor_seconds": processor,
        "memory_MiB": peak_memory(),
        "memory_of_imports_MiB": imported,
        "batches": steps,
        "padding": max(loader.padding(epoch) for epoch in range(3)),
    }


def plain(root: Path) -> dict[str, object]:
    """The standard library alone."""
    start = time.perf_counter()
    rows = []
    for split in SPLITS:
        (file,) = (root / "index").glob(f"{split}-*.jsonl")
        with file.open(encoding="ascii") as lines:
            next(lines)
            rows += [json.loads(line) for line in lines]
    n_batches = 0
    for epoch in range(N_EPOCHS):
        draw = random.Random(epoch)
        keys = [row["duration"] * draw.uniform(1 - JITTER, 1 + JITTER) for row in rows]
        order = sorted(range(len(rows)), key=keys.__getitem__, reverse=True)
        batches = list(cut(order, lambda index: rows[index]["duration"]))
        draw.shuffle(batches)
        n_batches += len(batches)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "memory_MiB": peak_memory(), "batches": n_batches}


def cut(order: list[int], duration: Callable[[int], float]) -> Iterator[list[int]]:
    """Utterances in batches, each as long as the limit allows."""
    batch: list[int] = []
    longest = 0.0
    for index in order:
        longest = max(longest, duration(index))
        if batch and longest * (len(batch) + 1) > MAX_BATCH_DURATION:
            yield batch
            batch, longest = [], duration(index)
        batch.append(index)
    yield batch


def peak_memory() -> float:
    """MiB that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


KINDS: dict[str, Callable[[Path], dict[str, object]]] = {"make": make, "ours": ours, "plain": plain}


def measured(kind: str, root: Path) -> dict[str, float]:
    """What ``kind`` finds in a fresh process.

    Linux counts the memory of the process that starts it as well, so this one imports little.
    """
    command = [sys.executable, "-m", "benchmarks.planning", "--measure", kind, "--root", str(root)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--measure", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(KINDS[arguments.measure](arguments.root)))
        return
    from benchmarks.report import report

    with tempfile.TemporaryDirectory() as folder:
        made, first, second = (measured(kind, Path(folder)) for kind in KINDS)
    print(
        f"loading {first['loading_seconds']:.2f} s, planning {N_EPOCHS} epochs "
        f"{first['planning_seconds']:.2f} s, counting their batches alone "
        f"{first['counting_seconds']:.2f} s, padding {first['padding']:.2%}"
    )
    print(f"peak memory {first['memory_MiB']:.0f} MiB, plain {second['memory_MiB']:.0f} MiB")
    details = {name: round(value, 4) for name, value in first.items() if name != "seconds"}
    print(
        report(
            "planning",
            ours=round(first["seconds"], 2),
            theirs=round(second["seconds"], 2),
            unit="s",
            packages=("torch", "numpy"),
            higher_is_better=False,
            against="json.loads, sorted and a greedy cut",
            utterances=sum(SPLITS.values()),
            hours=round(made["hours"]),
            epochs=N_EPOCHS,
            theirs_memory_MiB=round(second["memory_MiB"]),
            **details,
        )
    )


if __name__ == "__main__":
    main()
