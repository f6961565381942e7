"""LibriSpeech and mini LibriSpeech from OpenSLR, split by split."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deepspeech2.datasets.unpack import unpack
from deepspeech2.errors import ConfigError, DownloadError
from deepspeech2.files import locked
from deepspeech2.http.fetch import disk_error, fetch, require_space
from deepspeech2.http.openslr import MIRRORS

__all__ = ["MIRRORS", "SPLITS", "download_split", "fetch", "unpack"]

MARKER = ".complete"
"""Stands in the folder of a split that was downloaded and unpacked to the end."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Split:
    """An archive of OpenSLR: number of the resource, MD5 as published there, size in bytes."""

    resource: int
    md5: str
    size: int


# https://www.openslr.org/resources/12/md5sum.txt and .../31/md5sum.txt
SPLITS = {
    "dev-clean": Split(12, "42e2234ba48799c1f50f24a7926300a1", 337_926_286),
    "dev-other": Split(12, "c8d0bcc9cca99d4f8b62fcc847357931", 314_305_928),
    "test-clean": Split(12, "32fa31d27d2e1cad72775fee3f4849a9", 346_663_984),
    "test-other": Split(12, "fb5a50374b501bb3bac4815ee91d3135", 328_757_843),
    "train-clean-100": Split(12, "2a93770f6d5c6c964bc36631d331a522", 6_387_309_499),
    "train-clean-360": Split(12, "c0e676e450a7ff2f54aeade5171606fa", 23_049_477_885),
    "train-other-500": Split(12, "d1a0fd59409feb2c614ce4d30c387708", 30_593_501_606),
    "dev-clean-2": Split(31, "6d7ab67ac6a1d2c993d050e16d61080d", 126_046_265),
    "train-clean-5": Split(31, "5df7d4e78065366204ca6845bb08f490", 332_954_390),
}


def download_split(
    split: str,
    data_dir: Path,
    *,
    mirrors: Sequence[str] = MIRRORS,
    timeout: float = 30.0,
    retries: int = 3,
) -> Path:
    """Make sure that ``data_dir/<split>`` holds the split, downloading and unpacking it if needed.

    The archive is deleted once it is unpacked; at the peak the disk holds it twice. A folder of
    that name that lies there already is the user's and is left as it is.

    Args:
        split: one of :data:`SPLITS`.
        data_dir: where splits lie side by side.
        mirrors: base addresses to try in order.
        timeout, retries: as for :func:`fetch`.

    Returns:
        The folder of the split.

    Raises:
        ConfigError: there is no such split.
        DownloadError: it cannot be had; what has arrived is kept and resumed next time.
    """
    if split not in SPLITS:
        raise ConfigError(f"part must be one of {', '.join(SPLITS)}, but is {split!r}")
    folder = data_dir / split
    archive = data_dir / f"{split}.tar.gz"
    known = SPLITS[split]
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with locked(data_dir / f".{split}.lock"):
            if _filled(folder):
                return folder
            if not archive.exists():
                part = archive.with_name(f"{archive.name}.part")
                arrived = part.stat().st_size if part.exists() else 0
                needed = 2 * known.size - arrived
                require_space(data_dir, needed, f"downloading and unpacking {split}")
            _log.info("%s is missing: downloading %.1f GB", folder, known.size / 1e9)
            urls = [f"{base.rstrip('/')}/{known.resource}/{split}.tar.gz" for base in mirrors]
            fetch(urls, archive, md5=known.md5, size=known.size, timeout=timeout, retries=retries)
            _install(archive, split, data_dir)
    except OSError as error:
        raise disk_error(error, folder) from error
    return folder


def _filled(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _install(archive: Path, split: str, data_dir: Path) -> None:
    """Unpack, and move the split and the files beside it (licence, speakers) to ``data_dir``."""
    unpacked = unpack(archive, data_dir / f".{split}.unpacked")
    root = unpacked / "LibriSpeech"
    if not (root / split).is_dir():
        shutil.rmtree(unpacked, ignore_errors=True)
        raise DownloadError(f"{archive} holds no LibriSpeech/{split}: delete it and start again")
    for beside in root.glob("*.TXT"):
        if not (data_dir / beside.name).exists():
            beside.replace(data_dir / beside.name)
    (root / split / MARKER).touch()
    folder = data_dir / split
    if folder.is_dir():
        folder.rmdir()  # empty, as was found before
    (root / split).replace(folder)
    shutil.rmtree(unpacked, ignore_errors=True)
    archive.unlink()
