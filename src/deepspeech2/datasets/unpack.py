"""Unpacking an archive so that nothing leaves its folder and nothing is left half done."""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from deepspeech2.errors import DownloadError
from deepspeech2.files import locked
from deepspeech2.http.fetch import disk_error, require_space

_MOST_BYTES, _MOST_GROWTH = 1 << 30, 20
"""Of what is unpacked: so many bytes, and so many for each packed byte. Audio hardly packs."""

_MOST_AT_ONCE = 1 << 24  # bytes of a header
_BLOCK = 4096  # bytes that even an empty file takes from a disk


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
