"""The memory-mapped cache beside an ARPA file: reading text once, and then never again."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from src.kernels.ngram import NODE
from src.text.ngram.arpa import read_arpa
from src.text.ngram.model import NGramModel

_log = logging.getLogger(__name__)

_MAGIC = b"deepspeech2-ngram-1\n"
_ALIGNMENT = 64


def load_ngram(
    path: Path,
    *,
    key: Callable[[str], str] | None = None,
    key_name: str = "",
    progress: bool = False,
) -> NGramModel:
    """The model of an ARPA file, from its cache if there is one, which otherwise is made.

    The cache belongs to the file's size and time of change, and to ``key_name``; its pages are
    shared between processes. Where it cannot be written, the model is read anew each time.

    Args:
        path: the ARPA file.
        key: words get their ids in the order of ``key(word)``; None keeps the order of the file.
        key_name: tells one ``key`` from another.
        progress: show a bar while the text is read.

    Raises:
        ManifestError: the file is missing or is no ARPA file.
    """
    cache = cache_path(path, key_name)
    identity = _identity(path, key_name)
    if identity is not None and (model := _read(cache, identity)) is not None:
        return model
    model = NGramModel.from_tables(read_arpa(path, key=key, progress=progress), source=path)
    try:
        _write(cache, model, identity or {})
    except OSError as error:
        _log.warning("%s could not be written (%s): %s is read anew each time", cache, error, path)
    return model


def cache_path(path: Path, key_name: str = "") -> Path:
    """Where the cache of an ARPA file lies."""
    digest = hashlib.sha256(key_name.encode()).hexdigest()[:8]
    return path.with_name(f"{path.name}.{digest}.cache")


def _identity(path: Path, key_name: str) -> dict[str, Any] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return {"size": status.st_size, "changed": status.st_mtime_ns, "key": key_name}


def _write(cache: Path, model: NGramModel, identity: dict[str, Any]) -> None:
    words = "\n".join(model.words).encode()
    header = {**identity, "counts": model.counts, "words": len(words), "nodes": len(model.nodes)}
    temporary = cache.with_name(f"{cache.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(_MAGIC + json.dumps(header).encode() + b"\n")
            file.write(words)
            file.write(b"\0" * (-file.tell() % _ALIGNMENT))
            file.write(model.nodes.tobytes())
        temporary.replace(cache)
    finally:
        temporary.unlink(missing_ok=True)


def _read(cache: Path, identity: dict[str, Any]) -> NGramModel | None:
    """The cached model; None if there is none, or it is another file's, or cut off."""
    try:
        with cache.open("rb") as file:
            if file.readline(len(_MAGIC)) != _MAGIC:
                return None
            header = json.loads(file.readline())
            offset = file.tell()
        if any(header.get(name) != value for name, value in identity.items()):
            return None
        # Copy on write: nobody writes, but arrays of one kind are compiled for once.
        whole = np.memmap(cache, dtype=np.uint8, mode="c")
    except (OSError, ValueError):
        return None
    words = tuple(whole[offset : offset + header["words"]].tobytes().decode().split("\n"))
    offset += header["words"]
    offset += -offset % _ALIGNMENT
    if offset + header["nodes"] * NODE.itemsize != len(whole):
        return None
    nodes = np.asarray(whole[offset:]).view(NODE)
    return NGramModel(words, nodes, tuple(header["counts"]))
