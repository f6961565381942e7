"""Unpacking an archive so that nothing leaves its folder and nothing is left half done."""

from __future__ import annotations

import shutil
import tarfile
import zlib
from pathlib import Path

from tqdm import tqdm

from src.errors import DownloadError
from src.files import locked
from src.network.fetch import disk_error, require_space


def unpack(archive: Path, target_dir: Path) -> Path:
    """Unpack a ``.tar.gz`` to ``target_dir``, which appears only when it is complete.

    Members are written to a temporary sibling first. Those with absolute names or ``..``, links
    that lead out, and devices are refused (PEP 706, the ``data`` filter).

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


def _extract(archive: Path, folder: Path) -> None:
    folder.mkdir()
    try:
        with (
            archive.open("rb") as file,
            tarfile.open(fileobj=file, mode="r:gz") as members,
            tqdm(
                total=archive.stat().st_size,
                desc=f"unpacking {archive.name}",
                unit="B",
                unit_scale=True,
                disable=None,
            ) as bar,
        ):
            for member in members:
                members.extract(member, folder, filter="data")
                bar.update(file.tell() - bar.n)
    except tarfile.FilterError as error:
        raise DownloadError(
            f"{archive} is not unpacked, because its member {error.tarinfo.name!r} "
            "would leave the folder: get the archive elsewhere"
        ) from error
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise _damaged(archive) from error
    except OSError as error:
        if error.errno is None:  # gzip.BadGzipFile: the archive's fault, not the disk's
            raise _damaged(archive) from error
        raise


def _damaged(archive: Path) -> DownloadError:
    return DownloadError(f"{archive} is damaged: delete it and start again")
