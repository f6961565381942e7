"""Seconds of audio in a second of time: what the loader delivers, and what the front end makes.

Ours is the loader with its cache on the disk, theirs the same loader on the plain files, each
with the number of workers that suits it best. The data are LibriSpeech's, or noise as long where
there are none. Files and cache are in the system's memory, as those of a corpus that fits are
from the second epoch on.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
import soundfile
import torch
from hydra import compose, initialize_config_dir

from benchmarks.report import report
from deepspeech2.config.command_line import VERSION
from deepspeech2.config.components import create, group
from deepspeech2.datasets import DirectoryCorpus, LibriSpeechCorpus, SpeechDataset, SpeechLoader
from deepspeech2.datasets.corpus import Corpus
from deepspeech2.datasets.dataset import CacheKind
from deepspeech2.paths import ROOT
from deepspeech2.seeding import generator
from deepspeech2.text import TextEncoder
from deepspeech2.transforms import FrontEnd
from deepspeech2.types import Batch

MAX_BATCH_DURATION = 640.0  # as in configs/dataloader/default.yaml
SECONDS = 5.0  # that each loader is timed, and the front end twice as long
WORKERS = (0, 1, 2)
N_MADE_UP = 120
CACHES: tuple[CacheKind, ...] = ("none", "disk")


def corpus(data: Path, part: str, scratch: Path) -> tuple[Corpus, str]:
    """A part of LibriSpeech below ``data``, or noise in FLAC files, and what it is."""
    part = f"LibriSpeech/{part}"
    if (data / part).is_dir():
        return LibriSpeechCorpus(part, data, index_dir=scratch / "index", download=False), part
    rng = np.random.default_rng(0)
    folder = scratch / "made up"
    folder.mkdir()
    for number in range(N_MADE_UP):
        samples = 0.1 * rng.standard_normal(16000 * int(rng.integers(2, 17)))
        soundfile.write(folder / f"{number}.flac", samples.clip(-1, 1), 16000)
    return DirectoryCorpus(folder), "noise"


def loader(corpus: Corpus, cache: CacheKind, cache_dir: Path, num_workers: int) -> SpeechLoader:
    encode = TextEncoder().encode
    dataset = SpeechDataset(corpus.utterances, encode, cache=cache, cache_dir=cache_dir)
    return SpeechLoader(dataset, max_batch_duration=MAX_BATCH_DURATION, num_workers=num_workers)


@contextmanager
def batches(loader: SpeechLoader) -> Iterator[Iterator[Batch]]:
    """Those of a loader that has been running for a while, so that all workers are awake."""
    with closing(loader.stream()) as stream:
        later = islice(stream, 2 + 4 * loader.num_workers, None)
        next(later)
        yield (batch for _, batch in later)


def delivered(loader: SpeechLoader) -> float:
    """Seconds of audio in a second; every sample is looked at, since pages may come late."""
    audio = 0.0
    with batches(loader) as stream:
        start = time.perf_counter()
        while (spent := time.perf_counter() - start) < SECONDS:
            batch = next(stream)
            batch.waveforms.data.sum()
            audio += batch.duration
    return audio / spent


def front_end() -> FrontEnd:
    """As in the config of the full training, with its augmentations."""
    with initialize_config_dir(str(ROOT / "configs"), **VERSION):
        config = compose("deepspeech2")
    made: FrontEnd = create(group(config, "transforms"), "transforms")
    return made


def transformed(loader: SpeechLoader, front_end: FrontEnd, *, augment: bool) -> float:
    """Seconds of audio in a second that go through loader and front end, on the processor."""
    audio = 0.0
    draw = generator("cpu", 0, "benchmark")
    with batches(loader) as stream:
        start = time.perf_counter()
        while (spent := time.perf_counter() - start) < 2 * SECONDS:
            batch = next(stream)
            front_end(batch.waveforms, draw if augment else None)
            audio += batch.duration
    return audio / spent


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    default = ROOT / os.environ.get("SPEECH_DATA", "../shared/data")
    parser.add_argument("--data", type=Path, default=default, help="folder with LibriSpeech/")
    parser.add_argument("--part", default="test-clean-35m", help="of LibriSpeech")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        measured, name = corpus(chosen.data.absolute(), chosen.part, Path(folder))
        cache_dir = Path(folder) / "cache"
        start = time.perf_counter()
        loader(measured, "disk", cache_dir, 0)
        building = measured.duration / (time.perf_counter() - start)
        print(f"{measured.duration:.0f} s of {name}, decoded to the cache at {building:,.0f} x")
        speeds: dict[CacheKind, dict[int, float]] = {cache: {} for cache in CACHES}
        for num_workers in WORKERS:
            for cache in CACHES:
                speed = delivered(loader(measured, cache, cache_dir, num_workers))
                speeds[cache][num_workers] = round(speed)
                print(f"cache {cache}, {num_workers} workers: {speed:,.0f} x real time")
        best = max(WORKERS, key=speeds["disk"].__getitem__)
        made = front_end()
        plain, augmented = (
            transformed(loader(measured, "disk", cache_dir, 1), made, augment=augment)
            for augment in (False, True)
        )
    print(f"with the front end: {plain:,.0f} x, with augmentation {augmented:,.0f} x")
    print(
        report(
            "data_path",
            ours=speeds["disk"][best],
            theirs=max(speeds["none"].values()),
            unit="seconds of audio per second",
            packages=("torch", "numpy", "soundfile"),
            against="the same loader on plain files",
            data=name,
            audio_seconds=round(measured.duration),
            best_workers=best,
            cache=speeds["disk"],
            files=speeds["none"],
            building=round(building),
            front_end=round(plain),
            front_end_augmented=round(augmented),
        )
    )


if __name__ == "__main__":
    main()
