"""Recordings that are no files of their own: members of tar archives, and items of data sets.

Each has a path, ``ARCHIVE.tar/START-SIZE/NAME`` or ``dataset@NAME/INDEX``, so that whatever reads
recordings reads these as well. Nothing is unpacked: one at a time becomes a file in memory, where
the system has such, for as long as it is open.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from deepspeech2.errors import AudioError

_MEMBER = re.compile(r"(.*\.tar)[/\\](\d+)-(\d+)[/\\][^/\\]+", re.IGNORECASE | re.DOTALL)
_ITEM = re.compile(r"(?:.*[/\\])?dataset@([^/\\]+)[/\\](\d+)[^/\\]*", re.DOTALL)
_MEMORY = "/dev/shm"

Content = bytes | tuple[NDArray[np.float32], int]
"""A file's bytes, or samples (S, C) and their rate in Hz."""

_readers: dict[str, Callable[[int], Content]] = {}
_turn = threading.Lock()  # for data sets, which need not bear several threads


def member(archive: Path, start: int, size: int, name: str) -> Path:
    """The path of ``size`` bytes from ``start`` on of a tar archive; ``name`` has its ending."""
    return archive / f"{start}-{size}" / Path(name).name


def item(dataset: str, index: int, mark: str = "") -> Path:
    """The path of an item of a data set; ``mark`` changes with its samples."""
    return Path(f"dataset@{dataset}", f"{index:06d}{mark and '-'}{mark}")


def register(name: str, read: Callable[[int], Content]) -> str:
    """Let ``read`` return the items of the data set ``name``, which gets a number if it is taken.

    Returns:
        The name.
    """
    number, free = 1, name
    while free in _readers:
        number += 1
        free = f"{name}-{number}"
    _readers[free] = read
    return free


def registered(paths: Iterable[Path]) -> dict[str, Callable[[int], Content]]:
    """The data sets that ``paths`` are of, for another process."""
    if not _readers:
        return {}
    names = {found.group(1) for path in paths if (found := _ITEM.fullmatch(str(path)))}
    return {name: _readers[name] for name in names if name in _readers}


def adopt(readers: Mapping[str, Callable[[int], Content]]) -> None:
    """Know the data sets that another process registered."""
    _readers.update(readers)


def backing(path: Path) -> Path:
    """The file that ``path`` is in; itself where it is a file of its own, or of a data set."""
    found = _MEMBER.fullmatch(str(path))
    return Path(found.group(1)) if found else path


def exists(path: Path) -> bool:
    """Whether there is a recording."""
    found = _ITEM.fullmatch(str(path))
    return found.group(1) in _readers if found else backing(path).is_file()


@contextmanager
def as_file(path: Path) -> Iterator[Path]:
    """Within, the file that a recording is: ``path`` itself, or one made for as long.

    Raises:
        AudioError: the archive cannot be read, or the data set is not open.
    """
    content = _content(path)
    if content is None:
        yield path
        return
    ending = path.suffix if isinstance(content, bytes) else ".wav"
    place = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    descriptor, name = tempfile.mkstemp(ending, "deepspeech2-", place)
    try:
        with open(descriptor, "wb") as file:
            if isinstance(content, bytes):
                file.write(content)
            else:
                soundfile.write(file, *content, "FLOAT", format="WAV")
        yield Path(name)
    except AudioError as error:
        error.args = (str(error).replace(name, str(path)), *error.args[1:])
        raise
    finally:
        os.unlink(name)


def _content(path: Path) -> Content | None:
    text = str(path)
    if found := _MEMBER.fullmatch(text):
        archive, start, size = found.groups()
        if os.path.isdir(archive):  # somebody's folder that only looks so
            return None
        try:
            with open(archive, "rb") as file:
                file.seek(int(start))
                content = file.read(int(size))
        except OSError as error:
            raise AudioError(f"{path} cannot be read: {error.strerror}") from error
        if len(content) < int(size):
            raise AudioError(f"{path} is missing: {archive} ends before it")
        return content
    if found := _ITEM.fullmatch(text):
        name, index = found.groups()
        if name not in _readers:
            raise AudioError(f"{path} is in a data set of another program, which was not kept")
        with _turn:
            return _readers[name](int(index))
    return None


def samples_of(audio: Any) -> NDArray[np.float32]:
    """Samples (S, C), float32, of a tensor or array of floats (S,) or (C, S).

    Raises:
        ValueError: it is no such array, or empty.
    """
    if hasattr(audio, "detach"):
        audio = audio.detach().cpu()
    samples = np.asarray(audio)
    if (
        samples.ndim not in (1, 2)
        or not samples.size
        or not np.issubdtype(samples.dtype, np.floating)
    ):
        raise ValueError(
            "audio must be floats in [-1, 1] of the shape (S,) or (C, S), but is"
            f" {samples.dtype} {samples.shape}"
        )
    return np.atleast_2d(samples).T.astype(np.float32)
