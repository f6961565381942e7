"""Write files and folders completely or not at all, lock them, and give them safe names."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import shutil
import socket
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from deepspeech2.errors import ConfigError, DownloadError, SpeechError

log = logging.getLogger(__name__)

MOST_BYTES = 180
"""The longest file name, so that an ending and a temporary prefix fit into most systems' 255."""

# Names that Windows reserves for devices, with any ending.
_DEVICE = re.compile(r"(con|prn|aux|nul|com[\d¹²³]|lpt[\d¹²³])(\.|$)", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f]')
_HOST = re.sub(r"[^\w-]", "_", socket.gethostname())[:40]
_TEMPORARY = re.compile(rf"\..+\.{re.escape(_HOST)}-(\d+)-\d+\.tmp")
_NUMBERS = count()  # threads may write the same file
_SWEPT: set[str] = set()


def safe_name(name: str) -> str:
    """Make a name from outside a file name on every system; plain names stay as they are.

    A name that has to be changed gets a digest of the original, so that two different names never
    become the same file. (Names that differ only in the case of letters do on some file systems.)

    >>> safe_name("1089-134686-0000")
    '1089-134686-0000'
    >>> safe_name("..").startswith("_")
    True
    """
    whole = unicodedata.normalize("NFC", name)
    plain = _FORBIDDEN.sub("_", whole)
    plain = re.sub(r"[\ud800-\udfff]", "_", plain)  # bytes that were no UTF-8
    plain = re.sub(r"^\.+|[. ]+$", "_", plain)
    if _DEVICE.match(plain):
        plain = f"_{plain}"
    if name and plain == name and len(plain.encode()) <= MOST_BYTES:
        return plain
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    short = plain.encode()[: MOST_BYTES - len(digest) - 1].decode("utf-8", "ignore").rstrip(". ")
    return f"{short or '_'}-{digest}"


def plain_name(name: str, key: str) -> str:
    """Return ``name`` if it is a file name on every system; see :func:`safe_name`.

    Raises:
        ConfigError: it is not; names ``key``.
    """
    if (safe := safe_name(name)) != name:
        raise ConfigError(f"{key} must be a plain folder name, as {safe!r}, but is {name!r}")
    return name


@contextmanager
def whole_file(
    path: Path, mode: str = "wb", *, durable: bool = True, **options: Any
) -> Iterator[IO[Any]]:
    """Open a file that appears at ``path`` when the context ends well, and not at all otherwise.

    An earlier file stays until then. A symbolic link is followed and stays one; the mode of an
    earlier file is kept, and its owner where the system allows that. What writers that were killed
    left in its folder is removed. A device or a pipe is written directly.

    Args:
        path: its folder is made if missing.
        mode: "wb" or "w", which writes UTF-8 unless ``options`` name another encoding.
        durable: wait until the disk has it, so that a loss of power cannot undo it; costs
            milliseconds, too many for thousands of small files.
        options: of :func:`open`.

    Raises:
        OSError: it could not be written; nothing is left behind.
    """
    if "b" not in mode:
        # a lone surrogate, of a name that is no UTF-8, becomes the escape that JSON has for it
        options = {"encoding": "utf-8", "errors": "backslashreplace", **options}
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if path.exists() and not path.is_file():
        with path.open(mode, **options) as file:
            yield file
        return
    target = path.resolve() if path.is_symlink() else path
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep_once(target.parent)
    temporary = _temporary(target)
    try:
        temporary.unlink(missing_ok=True)  # of a dead process with our number
        with temporary.open(mode.replace("w", "x"), **options) as file:
            if target.exists():
                _take_over(target, temporary)
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        if error.errno is None or error.filename not in (None, os.fspath(temporary)):
            raise
        # a full disk's error names no file
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Make a new folder that is renamed to ``folder`` when the context ends well, or removed.

    By then ``folder`` must be absent or empty: the caller moves an earlier one away at the end of
    the context, when nothing can fail any more.

    Raises:
        OSError: it could not be written; nothing is left behind.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    sweep(folder.parent)
    temporary = _temporary(folder)
    try:
        temporary.mkdir()
        yield temporary
        if folder.is_dir():
            folder.rmdir()
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _temporary(path: Path) -> Path:
    """Name the temporary sibling of ``path``; of a long name only a part fits."""
    number = f"{_HOST}-{os.getpid()}-{next(_NUMBERS)}"
    return path.with_name(f".{path.name[:40]}.{number}.tmp")


def _take_over(target: Path, temporary: Path) -> None:
    """Give a new file the mode of the old one, and its owner, before anything is written to it."""
    old, new = target.stat(), temporary.stat()
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid) and hasattr(os, "chown"):
        with suppress(PermissionError):  # only the administrator gives files away
            os.chown(temporary, old.st_uid, old.st_gid)
    temporary.chmod(old.st_mode & 0o7777)


def write_whole(path: Path, content: str | bytes, *, durable: bool = True) -> None:
    """Write ``content`` so that ``path`` has the old content or the new, never half.

    Args:
        durable: see :func:`whole_file`.

    Raises:
        OSError: it could not be written.
    """
    with whole_file(path, "w" if isinstance(content, str) else "wb", durable=durable) as file:
        file.write(content)


def sweep(folder: Path) -> None:
    """Remove what writers that were killed on this machine left in ``folder``."""
    for path in folder.glob(".*.tmp"):
        match = _TEMPORARY.fullmatch(path.name)
        if match and not _alive(int(match[1])):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
                continue
            with suppress(PermissionError):  # of another user
                path.unlink(missing_ok=True)


def _sweep_once(folder: Path) -> None:
    """Sweep a folder the first time that this process writes there: many files share one."""
    place = os.path.abspath(folder)
    if place not in _SWEPT:
        _SWEPT.add(place)
        sweep(folder)


def _alive(pid: int) -> bool:
    if os.name == "nt":  # where signal 0 would end the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def lock(path: Path, busy: str | None) -> FileLock:
    """Take the lock file ``path``, which is freed by its release or the end of this process.

    Where the file system has no locks, a warning is logged, and work goes on.

    Args:
        path: of the lock file itself; its folder is made if missing.
        busy: the error if another process has it: one sentence with the remedy. None waits
            until that one ends.

    Raises:
        ConfigError: ``busy``.
        OSError: the folder cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # This process may take it again. A file that merely exists would outlive a dead process.
    held = FileLock(path, is_singleton=True, fallback_to_soft=False)
    try:
        held.acquire(timeout=0)
    except Timeout as error:
        if busy is not None:
            raise ConfigError(busy) from error
        log.info("another process holds %s: waiting for it", path)
        held.acquire()
    except (OSError, NotImplementedError) as error:  # not every network file system has locks
        log.warning("%s cannot be locked (%s): start no second process on it", path, error)
    return held


@contextmanager
def locked(path: Path, busy: str | None = None) -> Iterator[None]:
    """Within, this process has the lock file ``path``; see :func:`lock`."""
    held = lock(path, busy)
    try:
        yield
    finally:
        held.release()


@contextmanager
def alone(output: Path) -> Iterator[None]:
    """Within, no other process makes the file ``output``; the lock is removed afterwards.

    Raises:
        ConfigError: another process does.
    """
    place = output.with_name(f".{output.name}.lock")
    with locked(place, f"another process writes {output}: wait until it ends, or name another"):
        try:
            yield
        finally:
            with suppress(OSError):  # Windows does not remove what is open
                place.unlink()


def require_space(
    folder: Path,
    n_bytes: int,
    purpose: str,
    *,
    remedy: str = "choose another folder",
    kind: type[SpeechError] = DownloadError,
) -> None:
    """Raise ``kind`` unless ``folder`` has room for ``n_bytes``."""
    free = shutil.disk_usage(folder).free
    if free < n_bytes:
        raise kind(
            f"{purpose} needs {n_bytes / 1e9:.1f} GB in {folder}, where {free / 1e9:.1f} GB are "
            f"free: make room or {remedy}"
        )


def disk_error(
    error: OSError,
    place: Path,
    *,
    remedy: str = "check its permissions or choose another folder",
    kind: type[SpeechError] = DownloadError,
) -> SpeechError:
    """Explain what the file system refused at ``place``, where a later call goes on."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return kind(
            f"the disk is full: make room for {place} and start again (what is there is kept), or"
            f" {remedy}"
        )
    return kind(f"{place} cannot be written ({error.strerror or error}): {remedy}")
