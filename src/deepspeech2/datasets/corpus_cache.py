"""Decode a corpus once, into a folder named after everything that its contents depend on."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

from tqdm import tqdm

from deepspeech2.audio.stored import backing
from deepspeech2.datasets.shards import (
    BYTES_PER_SAMPLE,
    ShardIndex,
    Shards,
    plan_shards,
    read_index,
    write_shard,
)
from deepspeech2.errors import ManifestError
from deepspeech2.files import disk_error, locked, require_space
from deepspeech2.hardware import cpus
from deepspeech2.types import Utterance
from deepspeech2.user_cache import user_folder

VERSION = 2

_REMEDY = "set dataloader.cache_dir to another disk or dataloader.cache=none"

_log = logging.getLogger(__name__)


def open_cache(
    utterances: Sequence[Utterance],
    cache_dir: Path,
    *,
    sample_rate: int,
    n_workers: int | None = None,
) -> Shards:
    """Open the audio of ``utterances`` as 16-bit samples; decode it unless that was done before.

    Several processes may call this at once: one decodes, the others wait for it. After an early
    end a later call goes on from the shards that are complete; one that was damaged, or that
    another user made, is decoded anew (see :mod:`deepspeech2.user_cache`). Recordings that cannot
    be read are remembered with the reason.

    Args:
        utterances: the result has their order.
        cache_dir: each corpus gets a folder of its own below it.
        sample_rate: of the samples, in Hz.
        n_workers: threads that decode; None: one for each core, up to 32.

    Raises:
        ManifestError: ``cache_dir`` has too little room or cannot be written to.
    """
    folder = cache_dir / fingerprint(utterances, sample_rate)
    plan = plan_shards([utterance.duration for utterance in utterances], sample_rate)
    parts = {number: utterances[part.start : part.stop] for number, part in enumerate(plan)}
    known = _genuine(folder, parts)
    if len(known) < len(parts):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # not beside the shards, where another user could take it
            with locked(user_folder() / "locks" / f"{folder.name}.lock"):
                known |= _genuine(folder, _without(parts, known))
                if missing := _without(parts, known):  # or another process was faster
                    known |= _build(folder, missing, sample_rate, n_workers or min(32, cpus()))
        except OSError as error:
            raise disk_error(error, folder, remedy=_REMEDY, kind=ManifestError) from error
    return Shards(folder, [known[number] for number in parts], utterances, sample_rate)


def fingerprint(utterances: Sequence[Utterance], sample_rate: int) -> str:
    """Digest the utterances, the sizes and times of change of their recordings, and the user,
    because one user could not replace what belongs to another."""
    user = os.geteuid() if hasattr(os, "geteuid") else ""
    digest = hashlib.blake2b(f"{VERSION} {sample_rate} {user}\n".encode(), digest_size=16)
    files: dict[Path, str] = {}
    for utterance in utterances:
        path = utterance.audio
        if path not in files:
            files[path] = f"{os.path.abspath(path)}\0{_state(backing(path))}"
        stretch = f"{utterance.offset!r} {utterance.duration!r}"
        digest.update(os.fsencode(f"{utterance.id}\0{files[path]}\0{stretch}\n"))
    return digest.hexdigest()


def _state(path: Path) -> str:
    try:
        status = os.stat(path)
    except OSError:  # decoding will report why
        return "absent"
    return f"{status.st_size} {status.st_mtime_ns}"


Parts = Mapping[int, Sequence[Utterance]]
"""The utterances of shards, by their numbers."""


def _genuine(folder: Path, parts: Parts) -> dict[int, ShardIndex]:
    """Read the indices of those ``parts`` that are there and genuine."""
    known = {number: read_index(folder, number, len(part)) for number, part in parts.items()}
    return {number: index for number, index in known.items() if index is not None}


def _without(parts: Parts, known: Mapping[int, ShardIndex]) -> Parts:
    return {number: part for number, part in parts.items() if number not in known}


class _Stopped(Exception):
    """Another shard failed, so this one need not be finished."""


def _build(folder: Path, parts: Parts, sample_rate: int, n_workers: int) -> dict[int, ShardIndex]:
    """Write the shards of ``parts`` by threads: decoding does not hold Python's lock."""
    seconds = sum(utterance.duration for part in parts.values() for utterance in part)
    n_bytes = round(seconds * sample_rate * BYTES_PER_SAMPLE)
    require_space(folder, n_bytes, "decoded audio", remedy=_REMEDY, kind=ManifestError)
    _log.info("Decoding %.2f h of audio to %s, which is done once", seconds / 3600, folder)
    total = sum(len(part) for part in parts.values())
    stop, turn = threading.Event(), threading.Lock()
    with (
        tqdm(total=total, desc="decoding", unit=" utterances", disable=None) as bar,
        ThreadPoolExecutor(n_workers) as pool,
    ):

        def count() -> None:
            if stop.is_set():
                raise _Stopped
            with turn:  # the bar counts for one thread at a time
                bar.update()

        tasks = {
            number: pool.submit(write_shard, folder, number, part, sample_rate, count)
            for number, part in parts.items()
        }
        try:
            wait(tasks.values(), return_when=FIRST_EXCEPTION)
        finally:
            stop.set()  # also when Ctrl-C ends the waiting
    # The others only stopped because one of them failed: that error has to be reported.
    faults = [error for task in tasks.values() if (error := task.exception()) is not None]
    for error in sorted(faults, key=lambda error: isinstance(error, _Stopped)):
        raise error
    return {number: task.result() for number, task in tasks.items()}
