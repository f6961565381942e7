"""Text files, compressed or not."""

from __future__ import annotations

import gzip
import lzma
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, cast


def open_text(path: Path, mode: str) -> IO[bytes]:
    """Open a file for bytes, through gzip or xz if its name ends so."""
    if path.suffix == ".gz":
        return cast("IO[bytes]", gzip.open(path, mode))
    if path.suffix == ".xz":
        return cast("IO[bytes]", lzma.open(path, mode))
    return cast("IO[bytes]", path.open(mode))


def packing(file: IO[bytes], path: Path) -> AbstractContextManager[IO[bytes]]:
    """A context that writes to ``file`` as the name ``path`` asks; it leaves ``file`` open."""
    if path.suffix == ".gz":
        return cast("AbstractContextManager[IO[bytes]]", gzip.open(file, "wb"))
    if path.suffix == ".xz":
        return cast("AbstractContextManager[IO[bytes]]", lzma.open(file, "wb"))
    return nullcontext(file)
