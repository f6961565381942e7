"""A corpus decoded once, into a folder that is named after all that its contents depend on."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import shutil
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

from tqdm import tqdm

from deepspeech2.datasets.shards import (
    BYTES_PER_SAMPLE,
    ShardIndex,
    Shards,
    Stopped,
    plan_shards,
    read_index,
    write_shard,
)
from deepspeech2.errors import ManifestError
from deepspeech2.files import locked
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
    """The audio of ``utterances`` as 16-bit samples, decoded first unless that was done before.

    Several processes may call this at once: one decodes, the others wait for it. Whatever ends
    it early, a later call goes on from the shards that are complete; one that was damaged, or that
    another user made, is decoded anew (:mod:`deepspeech2.user_cache` says what is trusted).
    Recordings that cannot be read are remembered with the reason.

    Args:
        utterances: in the order in which the result counts them.
        cache_dir: below which each corpus gets a folder of its own.
        sample_rate: of the samples, in Hz.
        n_workers: threads that decode; None: one for each core, at most 32.

    Raises:
        ManifestError: ``cache_dir`` has too little room or cannot be written to.
    """
    folder = cache_dir / fingerprint(utterances, sample_rate)
    plan = plan_shards([utterance.duration for utterance in utterances], sample_rate)
    parts = {number: utterances[part.start : part.stop] for number, part in enumerate(plan)}
    found = _known(folder, parts)
    if len(found) < len(parts):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # not beside the shards, where another user could hold it
            with locked(user_folder() / "locks" / f"{folder.name}.lock"):
                found |= _known(folder, _without(parts, found))
                if missing := _without(parts, found):  # or another process was faster
                    found |= _build(folder, missing, sample_rate, n_workers or _cores())
        except OSError as error:
            raise _disk_error(error, folder) from error
    return Shards(folder, [found[number] for number in parts], utterances, sample_rate)


def fingerprint(utterances: Sequence[Utterance], sample_rate: int) -> str:
    """A digest of the utterances, the sizes and times of change of their recordings, and the user:
    one could not replace what is another's."""
    user = os.geteuid() if hasattr(os, "geteuid") else ""
    digest = hashlib.blake2b(f"{VERSION} {sample_rate} {user}\n".encode(), digest_size=16)
    files: dict[Path, str] = {}
    for utterance in utterances:
        path = utterance.audio
        if path not in files:
            files[path] = f"{os.path.abspath(path)}\0{_state(path)}"
        stretch = f"{utterance.offset!r} {utterance.duration!r}"
        digest.update(os.fsencode(f"{utterance.id}\0{files[path]}\0{stretch}\n"))
    return digest.hexdigest()


def _state(path: Path) -> str:
    try:
        status = os.stat(path)
    except OSError:  # whoever decodes finds out why
        return "absent"
    return f"{status.st_size} {status.st_mtime_ns}"


def _cores() -> int:
    return min(32, cpus())


Parts = Mapping[int, Sequence[Utterance]]
"""The utterances of shards, by their numbers."""


def _known(folder: Path, parts: Parts) -> dict[int, ShardIndex]:
    """Those of ``parts`` that are there and genuine."""
    found = {number: read_index(folder, number, len(part)) for number, part in parts.items()}
    return {number: index for number, index in found.items() if index is not None}


def _without(parts: Parts, found: Mapping[int, ShardIndex]) -> Parts:
    return {number: part for number, part in parts.items() if number not in found}


def _build(
    folder: Path,
    parts: Parts,
    sample_rate: int,
    n_workers: int,
) -> dict[int, ShardIndex]:
    """Write the shards of ``parts`` by threads: decoding does not hold Python's lock."""
    seconds = sum(utterance.duration for part in parts.values() for utterance in part)
    _require_space(folder, round(seconds * sample_rate * BYTES_PER_SAMPLE))
    _log.info("Decoding %.2f h of audio to %s, which is done once", seconds / 3600, folder)
    total = sum(len(part) for part in parts.values())
    stop, turn = threading.Event(), threading.Lock()
    with (
        tqdm(total=total, desc="decoding", unit=" utterances", disable=None) as bar,
        ThreadPoolExecutor(n_workers) as pool,
    ):

        def done() -> None:
            with turn:  # the bar counts for one thread at a time
                bar.update()

        tasks = {
            number: pool.submit(
                write_shard, folder, number, part, sample_rate, done=done, stopped=stop.is_set
            )
            for number, part in parts.items()
        }
        try:
            wait(tasks.values(), return_when=FIRST_EXCEPTION)
        finally:
            stop.set()  # also when Ctrl-C ends the waiting
    # The others only stopped because one of them failed: that is what has to be told.
    faults = [error for task in tasks.values() if (error := task.exception()) is not None]
    for error in sorted(faults, key=lambda error: isinstance(error, Stopped)):
        raise error
    return {number: task.result() for number, task in tasks.items()}


def _require_space(folder: Path, n_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < n_bytes:
        raise ManifestError(
            f"decoded audio needs {n_bytes / 1e9:.1f} GB in {folder}, where {free / 1e9:.1f} GB "
            f"are free: make room, {_REMEDY}"
        )


def _disk_error(error: OSError, folder: Path) -> ManifestError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ManifestError(
            f"the disk is full: make room for {folder} and start again, what is decoded is "
            f"kept, or {_REMEDY}"
        )
    return ManifestError(f"{folder} cannot be written ({error.strerror or error}): {_REMEDY}")
