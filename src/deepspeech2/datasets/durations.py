"""Durations of recordings that no list contains: read from their headers, once.

Those of a large corpus are kept in the user's cache behind a seal (:mod:`deepspeech2.user_cache`),
by path, size and time of change.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepspeech2.audio.reading import AudioInfo, probe_all
from deepspeech2.errors import AudioError
from deepspeech2.files import safe_name
from deepspeech2.user_cache import read_sealed, user_folder, write_sealed

VERSION = 1
ENOUGH = 500
"""Recordings from which on what was read is kept: fewer take a moment."""

_log = logging.getLogger(__name__)


def infos_of(paths: Sequence[Path], place: Path) -> list[AudioInfo | AudioError]:
    """As :func:`~deepspeech2.audio.reading.probe_all`, but recordings are not opened again.

    Args:
        place: of the corpus, which has a file of its own in the cache.
    """
    if len(paths) < ENOUGH:
        return probe_all(paths)
    digest = hashlib.blake2b(os.fsencode(place.absolute()), digest_size=6).hexdigest()
    file = user_folder() / "durations" / f"{safe_name(place.name)}-{digest}.json"
    kept = _load(file)
    states = [_state(path) for path in paths]
    names = list(map(str, paths))
    pairs = zip(names, states, strict=True)
    new = [i for i, (name, state) in enumerate(pairs) if tuple(kept.get(name, ())[:2]) != state]
    found = probe_all([paths[index] for index in new]) if new else []
    fresh = dict(zip(new, found, strict=True))
    for index, info in fresh.items():
        if isinstance(info, AudioInfo):
            row = [info.duration, info.sample_rate, info.channels]
            kept[names[index]] = [*states[index], *row]
    if new:
        _save(file, kept)
    return [
        fresh[index] if index in fresh else AudioInfo(*kept[name][2:])
        for index, name in enumerate(names)
    ]


def _state(path: Path) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError:  # probing will report why
        return -1, -1
    return status.st_size, status.st_mtime_ns


def _load(file: Path) -> dict[str, list[Any]]:
    content = read_sealed(file)
    version, kept = (VERSION, {}) if content is None else json.loads(content)
    return kept if version == VERSION else {}


def _save(file: Path, kept: dict[str, list[Any]]) -> None:
    try:
        write_sealed(file, json.dumps([VERSION, kept]).encode())
    except OSError as error:
        _log.warning("%s cannot be written, so durations are read again: %s", file, error)
