"""Text files, compressed or not."""

from __future__ import annotations

import bz2
import gzip
import lzma
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Any, cast

_PACKED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"\xfd7zXZ\x00": lzma.open, b"BZh": bz2.open}
"""By their first bytes, whatever a file is called."""


def open_text(path: Path) -> IO[bytes]:
    """Open a file to read its bytes, unpacked if it is one of gzip, xz or bzip2."""
    with path.open("rb") as file:
        head = file.read(8)
    opened = next((each for magic, each in _PACKED.items() if head.startswith(magic)), open)
    return cast("IO[bytes]", opened(path, "rb"))


def packing(file: IO[bytes], path: Path) -> AbstractContextManager[IO[bytes]]:
    """A context that writes to ``file`` as the name ``path`` asks; it leaves ``file`` open."""
    if path.suffix == ".gz":
        return cast("AbstractContextManager[IO[bytes]]", gzip.open(file, "wb"))
    if path.suffix == ".xz":
        return cast("AbstractContextManager[IO[bytes]]", lzma.open(file, "wb"))
    return nullcontext(file)
