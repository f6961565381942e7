"""Download and unpack splits of LibriSpeech and mini LibriSpeech from OpenSLR."""

from __future__ import annotations

import gzip
import logging
import os
import shutil
import tarfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from deepspeech2.errors import ConfigError, DownloadError
from deepspeech2.files import disk_error, locked, require_space
from deepspeech2.http.fetch import MIRRORS, fetch

MARKER = ".complete"
"""A file in the folder of a split that was downloaded and unpacked completely."""

_MOST_BYTES, _MOST_GROWTH = 1 << 30, 20
"""Limits of what is unpacked: bytes, and bytes for each packed byte. Audio hardly packs."""

_MOST_AT_ONCE = 1 << 24  # bytes of a header
_BLOCK = 4096  # bytes that even an empty file takes from a disk

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
    """Download and unpack a split to ``data_dir/<split>`` if that is missing, and return it.

    The archive is deleted once it is unpacked; for a while the disk needs room for it twice. A
    folder of that name that is there already is the user's and is left as it is.

    Args:
        split: one of :data:`SPLITS`.
        mirrors: base addresses to try in order.
        timeout, retries: as for :func:`fetch`.

    Raises:
        ConfigError: there is no such split.
        DownloadError: the download failed; what has arrived is kept and resumed next time.
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
        raise DownloadError(f"{archive} contains no LibriSpeech/{split}: delete it and start again")
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


def unpack(archive: Path, target_dir: Path) -> Path:
    """Unpack a ``.tar.gz`` to ``target_dir``, which appears only when it is complete.

    Members are written to a temporary sibling first. An archive of recordings has files and
    folders; links, devices, names that lead out, and more bytes than such an archive can have are
    refused. Python's own filter (PEP 706) is not relied on: before 3.11.14 it lets names longer
    than the system's limit out (CVE-2025-4517).

    Args:
        archive: the file; it stays.
        target_dir: if it exists, it is complete, and nothing is done.

    Raises:
        DownloadError: the archive is damaged or unsafe, or the disk is full.
    """
    partial = target_dir.with_name(f"{target_dir.name}.unpacking")
    try:
        target_dir.parent.mkdir(parents=True, exist_ok=True)
        with locked(target_dir.with_name(f"{target_dir.name}.lock")):
            if target_dir.exists():
                return target_dir
            require_space(target_dir.parent, archive.stat().st_size, f"unpacking {archive.name}")
            shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
            try:
                _extract(archive, partial)
                partial.replace(target_dir)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise disk_error(error, target_dir) from error
    return target_dir


class _Bounded:
    """A decompressed archive whose headers cannot be larger than memory."""

    def __init__(self, file: gzip.GzipFile) -> None:
        self.seek, self.tell, self._file = file.seek, file.tell, file

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _MOST_AT_ONCE:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._file.read(size)


def _extract(archive: Path, folder: Path) -> None:
    folder.mkdir()
    packed = archive.stat().st_size
    left = _MOST_BYTES + _MOST_GROWTH * packed
    try:
        with (
            archive.open("rb") as file,
            gzip.open(file) as content,
            tarfile.open(fileobj=_Bounded(content), mode="r:") as members,  # type: ignore[call-overload]
            tqdm(
                total=packed,
                desc=f"unpacking {archive.name}",
                unit="B",
                unit_scale=True,
                disable=None,
            ) as bar,
        ):
            for member in members:
                left -= max(member.size, _BLOCK)
                if left < 0:
                    raise DownloadError(
                        f"{archive} is not unpacked, because its {packed} bytes become more than"
                        f" {_MOST_BYTES + _MOST_GROWTH * packed}: get the archive elsewhere"
                    )
                _write(members, member, _place(archive, member, folder))
                bar.update(file.tell() - bar.n)
    except (tarfile.TarError, EOFError, zlib.error, ValueError, OverflowError) as error:
        raise _damaged(archive) from error
    except OSError as error:
        if error.errno is None:  # gzip.BadGzipFile: the archive's fault, not the disk's
            raise _damaged(archive) from error
        raise


def _place(archive: Path, member: tarfile.TarInfo, folder: Path) -> Path:
    """Where a member goes; one that is no file or folder, or would leave, is refused."""
    name = member.name.lstrip("/")  # as tar does
    if os.name == "nt":
        name = name.replace("\\", "/").replace(":", "_")
    place = folder.joinpath(*PurePosixPath(name).parts)
    fault = None
    if not (member.isreg() or member.isdir()):
        fault = "is neither a file nor a folder"
    elif ".." in PurePosixPath(name).parts or not _inside(place, folder):
        fault = "would leave the folder"
    if fault:
        raise DownloadError(
            f"{archive} is not unpacked, because its member {member.name[:100]!r} {fault}: get the"
            " archive elsewhere"
        )
    return place


def _inside(place: Path, folder: Path) -> bool:
    return place.parent.resolve().is_relative_to(folder.resolve()) or place == folder


def _write(members: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
    if member.isdir():
        place.mkdir(parents=True, exist_ok=True)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    source = members.extractfile(member)
    assert source is not None  # it is a file
    with source, place.open("wb") as file:
        shutil.copyfileobj(source, file, _BLOCK)
        if file.tell() != member.size:
            raise EOFError


def _damaged(archive: Path) -> DownloadError:
    return DownloadError(f"{archive} is damaged: delete it and start again")
