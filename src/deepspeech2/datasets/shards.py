"""Write decoded audio to shards and read it again.

A cache is a folder of shards. Shard 7 is ``00007.pcm``, the samples of consecutive utterances
one after another as 16-bit little-endian integers, and ``00007.index``, sealed JSON
(:mod:`deepspeech2.user_cache`), with the number of samples of each utterance, their digest, and
why some have none. The second file is written last, so a shard without it is incomplete.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepspeech2.audio.reading import Pcm, read_pcm
from deepspeech2.errors import AudioError
from deepspeech2.files import whole_file
from deepspeech2.types import Utterance
from deepspeech2.user_cache import make_way, read_sealed, without_waiting, write_sealed

BYTES_PER_SAMPLE = 2

_SAMPLE = np.dtype("<i2")
_MANY = 64  # shards, so that all cores find one to decode; small ones and large ones excepted
_SMALLEST, _LARGEST = 8 * 2**20, 512 * 2**20  # bytes
_DIGEST = 16  # bytes
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """The contents of a shard.

    Attributes:
        lengths: (N,) int64, samples of each utterance.
        digests: of the samples of each utterance.
        failures: why an utterance has none, by its place in the shard.
    """

    lengths: NDArray[np.int64]
    digests: tuple[bytes, ...]
    failures: dict[int, str]


def plan_shards(durations: Sequence[float], sample_rate: int) -> list[range]:
    """Choose consecutive utterances for each shard, by their ``durations`` in seconds."""
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
    count: Callable[[], None],
) -> ShardIndex:
    """Decode ``utterances`` into shard ``number`` of ``folder``.

    Both files appear complete and on the disk, or not at all; an earlier shard is replaced.

    Args:
        count: called before each utterance; if it raises, nothing is left behind.

    Raises:
        OSError: it cannot be written.
    """
    samples, index = _files(folder, number)
    lengths: list[int] = []
    digests: list[bytes] = []
    failures: dict[int, str] = {}
    make_way(samples)
    with whole_file(samples) as stream:
        for utterance in utterances:
            count()
            try:
                pcm = read_pcm(utterance, sample_rate)
            except AudioError as error:
                failures[len(lengths)] = str(error)
                pcm = np.zeros(0, np.int16)
            packed = pcm.astype(_SAMPLE, copy=False).tobytes()
            lengths.append(len(pcm))
            digests.append(_digest(packed))
            stream.write(packed)
    content = {
        "shard": f"{folder.name}/{number}",
        "lengths": lengths,
        "digests": [each.hex() for each in digests],
        "failures": failures,
    }
    write_sealed(index, json.dumps(content).encode())
    return ShardIndex(np.array(lengths, np.int64), tuple(digests), failures)


def read_index(folder: Path, number: int, n_utterances: int) -> ShardIndex | None:
    """Read the index of shard ``number``; None if it is absent, damaged, cut off or another's."""
    samples, index = _files(folder, number)
    sealed = read_sealed(index)
    if sealed is None:
        return None
    content = json.loads(sealed)
    lengths = np.array(content["lengths"], np.int64)
    size = BYTES_PER_SAMPLE * int(lengths.sum())
    ours = content["shard"] == f"{folder.name}/{number}" and len(lengths) == n_utterances
    if not ours or not _has_size(samples, size):
        return None
    return ShardIndex(
        lengths,
        tuple(map(bytes.fromhex, content["digests"])),
        {int(place): reason for place, reason in content["failures"].items()},
    )


class Shards:
    """Utterances in shards, by their number.

    Samples are copied from the file and compared with their digest each time, because a mapped
    file can change between the two, and ends the process where it is cut off. Damaged samples are
    decoded from the recordings, and the shard is made anew at the next start.

    Args:
        folder: of the shards.
        indices: of all shards, in order; see :func:`read_index`.
        utterances: whose samples they contain.
        sample_rate: of the samples, in Hz.
    """

    def __init__(
        self,
        folder: Path,
        indices: Sequence[ShardIndex],
        utterances: Sequence[Utterance],
        sample_rate: int,
    ) -> None:
        self.folder = folder
        self.failures: dict[int, str] = {}
        self._utterances = utterances
        self._sample_rate = sample_rate
        self._digests = b"".join(digest for each in indices for digest in each.digests)
        self._shards = np.repeat(np.arange(len(indices)), [len(each.lengths) for each in indices])
        self._lengths = np.concatenate([np.zeros(0, np.int64), *(each.lengths for each in indices)])
        ends = [np.cumsum(each.lengths) for each in indices]
        self._starts = np.concatenate([np.zeros(0, np.int64), *ends]) - self._lengths
        first = 0
        for each in indices:
            self.failures |= {first + place: why for place, why in each.failures.items()}
            first += len(each.lengths)
        self._damaged: set[int] = set()

    def __len__(self) -> int:
        return len(self._lengths)

    def __getitem__(self, index: int) -> Pcm:
        """Return the samples (S,) of an utterance, read-only.

        Raises:
            AudioError: its recording cannot be read.
        """
        if index in self.failures:
            raise AudioError(self.failures[index])
        shard = int(self._shards[index])
        path, _ = _files(self.folder, shard)
        start, length = int(self._starts[index]), int(self._lengths[index])
        content = _read(path, BYTES_PER_SAMPLE * start, BYTES_PER_SAMPLE * length)
        if _digest(content) != self._digests[_DIGEST * index : _DIGEST * (index + 1)]:
            self._give_up(shard)
            return read_pcm(self._utterances[index], self._sample_rate)
        return np.frombuffer(content, _SAMPLE)

    def _give_up(self, shard: int) -> None:
        if shard in self._damaged:
            return
        self._damaged.add(shard)
        samples, index = _files(self.folder, shard)
        _log.warning(
            "%s is not as it was written: its recordings are decoded each time, and it is made anew"
            " at the next start", samples,
        )  # fmt: skip
        with suppress(OSError):
            index.unlink(missing_ok=True)


def _files(folder: Path, number: int) -> tuple[Path, Path]:
    return folder / f"{number:05d}.pcm", folder / f"{number:05d}.index"


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.is_file() and path.stat().st_size == size
    except OSError:
        return False


def _read(path: Path, start: int, size: int) -> bytes:
    """Read ``size`` bytes of a file from ``start`` on; fewer if it ends or cannot be read."""
    try:
        with open(path, "rb", buffering=0, opener=without_waiting) as file:
            file.seek(start)
            return file.read(size)
    except OSError:
        return b""


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:_DIGEST]  # today's processors have instructions for it
