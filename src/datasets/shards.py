"""Decoded audio in files: what they hold, how one is written, and how they are read.

A cache is a folder of shards. Shard 7 is ``00007.pcm``, the samples of consecutive utterances
one after another as 16-bit little-endian integers, and ``00007.json``, which says how many
samples each utterance has and why some have none. The second file is written last, so a shard
without it is no shard.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from src.datasets.audio_store import Pcm, read, to_pcm
from src.errors import AudioError
from src.files import whole_file, write_whole
from src.types import Utterance

BYTES_PER_SAMPLE = 2

_SAMPLE = np.dtype("<i2")
_MANY = 64  # shards, so that all cores find one to decode; small ones and large ones excepted
_SMALLEST, _LARGEST = 8 * 2**20, 512 * 2**20  # bytes
_NOTHING = np.zeros(0, np.int64)

ShardIndex = tuple[NDArray[np.int64], dict[int, str]]
"""Samples (N,) of each utterance of a shard, and why it has none, by its place in the shard."""


class Stopped(Exception):
    """Another shard failed, so this one need not be finished."""


def plan_shards(durations: Sequence[float], sample_rate: int) -> list[range]:
    """Consecutive utterances for each shard, by their ``durations`` in seconds."""
    sizes = [duration * sample_rate * BYTES_PER_SAMPLE for duration in durations]
    enough = min(max(sum(sizes) / _MANY, _SMALLEST), _LARGEST)
    plan: list[range] = []
    first, filled = 0, 0.0
    for index, size in enumerate(sizes):
        if index > first and filled + size > enough:
            plan.append(range(first, index))
            first, filled = index, 0.0
        filled += size
    if sizes:
        plan.append(range(first, len(sizes)))
    return plan


def write_shard(
    folder: Path,
    number: int,
    utterances: Sequence[Utterance],
    sample_rate: int,
    *,
    done: Callable[[], None] = lambda: None,
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Decode ``utterances`` into shard ``number`` of ``folder``.

    Both files appear complete and on the disk, or not at all; a shard that was there before is
    replaced.

    Args:
        done: called after each utterance.
        stopped: asked before each utterance; when true, nothing is left behind.

    Raises:
        OSError: the disk is full or refuses.
        Stopped: ``stopped`` said so.
    """
    samples, index = _files(folder, number)
    lengths: list[int] = []
    failures: dict[str, str] = {}
    index.unlink(missing_ok=True)
    with whole_file(samples) as stream:
        for utterance in utterances:
            if stopped():
                raise Stopped
            try:
                pcm = to_pcm(read(utterance, sample_rate))
            except AudioError as error:
                failures[str(len(lengths))] = str(error)
                pcm = np.zeros(0, np.int16)
            lengths.append(len(pcm))
            stream.write(pcm.astype(_SAMPLE, copy=False).tobytes())
            done()
    write_whole(index, json.dumps({"lengths": lengths, "failures": failures}))
    _sync(folder)  # a name is on the disk when its folder is


def read_index(folder: Path, number: int, n_utterances: int) -> ShardIndex | None:
    """What shard ``number`` holds; None if it is absent, damaged, cut off or another's."""
    samples, index = _files(folder, number)
    if not (index.is_file() and samples.is_file()):  # a pipe would be waited for
        return None
    try:
        content = json.loads(index.read_bytes())
        lengths = np.array(content["lengths"], dtype=np.int64)
        failures = {int(place): str(reason) for place, reason in content["failures"].items()}
        size = samples.stat().st_size
    except (OSError, ValueError, OverflowError, KeyError, TypeError, AttributeError):
        return None
    except RecursionError:  # lists in lists
        return None
    sound = lengths.shape == (n_utterances,) and bool((lengths >= 0).all())
    whole = sound and size == BYTES_PER_SAMPLE * int(lengths.sum())
    return (lengths, failures) if whole else None


class Shards:
    """Utterances in shards, by their number.

    Files are mapped into memory when they are first needed, by every process for itself; a
    copy in another process starts without any. The memory belongs to the system, which takes
    it back when it is short.

    Args:
        folder: where the shards lie.
        indices: of all shards, in order; see :func:`read_index`.
    """

    def __init__(self, folder: Path, indices: Sequence[ShardIndex]) -> None:
        self.folder = folder
        self.failures: dict[int, str] = {}
        self._lengths = np.concatenate([lengths for lengths, _ in indices] or [_NOTHING])
        self._shards = np.repeat(np.arange(len(indices)), [len(lengths) for lengths, _ in indices])
        self._starts = np.concatenate([np.cumsum(each) - each for each, _ in indices] or [_NOTHING])
        first = 0
        for lengths, failures in indices:
            self.failures |= {first + place: reason for place, reason in failures.items()}
            first += len(lengths)
        self._maps: dict[int, Pcm] = {}

    def __len__(self) -> int:
        return len(self._lengths)

    def __getitem__(self, index: int) -> Pcm:
        """The samples (S,) of an utterance: a view of the file, read-only.

        Raises:
            AudioError: its recording could not be read when the shard was written.
        """
        if index in self.failures:
            raise AudioError(self.failures[index])
        shard = int(self._shards[index])
        if shard not in self._maps:
            path, _ = _files(self.folder, shard)
            self._maps[shard] = np.memmap(path, dtype=_SAMPLE, mode="r")
        start = int(self._starts[index])
        return self._maps[shard][start : start + int(self._lengths[index])]

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_maps": {}}


def _files(folder: Path, number: int) -> tuple[Path, Path]:
    return folder / f"{number:05d}.pcm", folder / f"{number:05d}.json"


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
