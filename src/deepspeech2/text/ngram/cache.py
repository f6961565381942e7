"""The memory-mapped cache of an ARPA file: reading text once, and then never again."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import numpy as np

from deepspeech2.files import safe_name, sweep, whole_file
from deepspeech2.text.ngram.arpa import read_arpa
from deepspeech2.text.ngram.backoff import NGramModel
from deepspeech2.text.ngram.kernel import NODE
from deepspeech2.user_cache import SEAL, genuine, make_way, seal, user_folder

_log = logging.getLogger(__name__)

_MAGIC = b"deepspeech2-ngram-2\n"
_START = len(_MAGIC) + SEAL
_LONGEST_HEADER = 1 << 16
_ALIGNMENT = 64


def load_ngram(
    path: Path,
    *,
    key: Callable[[str], str] | None = None,
    key_name: str = "",
) -> NGramModel:
    """Load the model of an ARPA file from its cache, which is made if there is none.

    The cache is in this user's folder, behind a seal, because the search uses its numbers
    unchecked. It belongs to the file's size and time of change, and to ``key_name``; its pages are
    shared between processes. Where it cannot be written, the model is read anew each time.

    Args:
        path: the ARPA file.
        key: words get their ids in the order of ``key(word)``; None keeps the order of the file.
        key_name: distinguishes one ``key`` from another.

    Raises:
        ManifestError: the file is missing or is no ARPA file.
    """
    cache = cache_path(path, key_name)
    identity = _identity(path, key_name)
    if identity is not None and (model := _read(cache, identity)) is not None:
        return model
    model = NGramModel.from_tables(read_arpa(path, key=key), source=path)
    try:
        _write(cache, model, identity or {})
        _sweep(cache.parent)
    except OSError as error:
        _log.warning("%s could not be written (%s): %s is read anew each time", cache, error, path)
    return model


def cache_path(path: Path, key_name: str = "") -> Path:
    """Return the path of the cache of an ARPA file."""
    place = os.fsencode(path.absolute()) + b"\0" + key_name.encode()
    digest = hashlib.sha256(place).hexdigest()[:16]
    return user_folder() / "ngram" / f"{safe_name(path.name)}.{digest}"


def _identity(path: Path, key_name: str) -> dict[str, Any] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    state = {"size": status.st_size, "changed": status.st_mtime_ns}
    return {"source": str(path.absolute()), **state, "key": key_name}


def _sweep(folder: Path) -> None:
    """Remove the caches of models that are gone, and what killed writers left."""
    sweep(folder)
    for cache in folder.iterdir():
        with suppress(OSError, ValueError, KeyError):
            with cache.open("rb") as file:
                file.seek(_START)
                source = json.loads(file.readline(_LONGEST_HEADER))["source"]
            if not os.path.exists(source):
                cache.unlink()


def _write(cache: Path, model: NGramModel, identity: dict[str, Any]) -> None:
    words = "\n".join(model.words).encode()
    header = {**identity, "counts": model.counts, "words": len(words), "nodes": len(model.nodes)}
    make_way(cache)
    with whole_file(cache, "w+b", durable=False) as file:
        file.write(bytes(_START))
        file.write(json.dumps(header).encode() + b"\n")
        file.write(words)
        file.write(b"\0" * (-file.tell() % _ALIGNMENT))
        file.write(model.nodes.tobytes())
        file.flush()
        with mmap(file.fileno(), 0, access=ACCESS_READ) as content:
            tag = seal(cache.name, memoryview(content)[_START:])
        file.seek(0)
        file.write(_MAGIC + tag)


def _read(cache: Path, identity: dict[str, Any]) -> NGramModel | None:
    """The cached model; None if there is none, or it is another file's, or was changed."""
    try:
        if not cache.is_file():
            return None
        # Copy on write: nobody writes, but arrays of one kind are compiled for once.
        whole = np.memmap(cache, dtype=np.uint8, mode="c")
    except (OSError, ValueError) as error:
        _log.warning("%s is made anew: it cannot be read (%s)", cache, error)
        return None
    start, content = whole[:_START].tobytes(), whole[_START:].data
    if not start.startswith(_MAGIC) or not genuine(cache.name, start[len(_MAGIC) :], content):
        _log.warning("%s is made anew: it is damaged or not this user's", cache)
        return None
    first, _, _ = content[:_LONGEST_HEADER].tobytes().partition(b"\n")
    header = json.loads(first)
    if any(header.get(name) != value for name, value in identity.items()):
        return None
    offset = _START + len(first) + 1
    words = tuple(whole[offset : offset + header["words"]].tobytes().decode().split("\n"))
    offset += header["words"]
    offset += -offset % _ALIGNMENT
    nodes = np.asarray(whole[offset:]).view(NODE)
    return NGramModel(words, nodes, tuple(header["counts"]))
