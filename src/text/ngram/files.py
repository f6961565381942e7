"""Text files, compressed or not."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path
from typing import IO, cast


def open_text(path: Path, mode: str) -> IO[bytes]:
    """Open a file for bytes, through gzip or xz if its name ends so."""
    if path.suffix == ".gz":
        return cast("IO[bytes]", gzip.open(path, mode))
    if path.suffix == ".xz":
        return cast("IO[bytes]", lzma.open(path, mode))
    return cast("IO[bytes]", path.open(mode))
