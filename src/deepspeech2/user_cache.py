"""Caches of one user, sealed so that nothing else is read from them.

The threat: a folder that others can write to, a checkout or a disk from somebody else, and damaged
bytes. The files there may be anything, a pipe or a link included, and change at any time. They
must not be executed, waited for or learnt from; at worst they are deleted. So everything in a
cache is read behind a seal, a digest under a key of this user (M.-J. Saarinen, J.-P. Aumasson,
RFC 7693, keyed BLAKE2b), and made anew where the seal does not fit:

- machine code, language models, emissions, and the indexes and durations of corpora whole, when
  they are opened;
- decoded audio, of which there is too much, by an utterance's digest each time it is read, the
  digests being sealed.

Who can write as this user, or read the key, can do worse elsewhere. Corpora and checkpoints are
trusted as the user names them, corpora that are fetched from an address among them.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import stat
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path

from deepspeech2.files import write_whole
from deepspeech2.hardware import cpus

SEAL = 32
"""Bytes of a seal, and of the key."""

_CHUNK = 1 << 23  # bytes that a thread digests at a time
_log = logging.getLogger(__name__)


@cache
def user_folder() -> Path:
    """Return ``$XDG_CACHE_HOME/deepspeech2`` or ``~/.cache/deepspeech2``, made for this user alone.

    Where that is impossible, or others may write there: a folder that ends with the process.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        folder = (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "deepspeech2"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if private(folder):
            return folder
        reason = "others may write to it"
    except (OSError, RuntimeError) as error:  # RuntimeError: this user has no home
        folder, reason = Path("~/.cache/deepspeech2"), str(error)
    _log.warning(
        "%s cannot keep caches (%s), and what is compiled is lost at the end: set XDG_CACHE_HOME to"
        " a folder of your own", folder, reason,
    )  # fmt: skip
    return Path(_temporary().name)


@cache
def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="deepspeech2-")


def private(folder: Path) -> bool:
    """Whether ``folder`` is this user's, and nobody else can put a file or another folder there."""
    if not hasattr(os, "geteuid"):  # Windows keeps a user's folders apart by itself
        return folder.is_dir()
    folder = folder.resolve()
    status = folder.stat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        return False
    modes = [parent.stat().st_mode for parent in folder.parents]
    return all(mode & stat.S_ISVTX or not mode & 0o002 for mode in modes)


def seal(name: str, content: bytes | memoryview) -> bytes:
    """Digest ``content``, on all processors, with the key of this user.

    Args:
        name: of the file, so that one cannot replace another.
    """
    view = memoryview(content).cast("B")
    parts = [view[start : start + _CHUNK] for start in range(0, len(view), _CHUNK)]
    if len(parts) > 1:
        with ThreadPoolExecutor(cpus()) as pool:
            digests = list(pool.map(_digest, parts))
    else:
        digests = [_digest(part) for part in parts]
    whole = hashlib.blake2b(key=_key(), digest_size=SEAL)
    for part in (name.encode("utf-8", "surrogatepass"), b"\0", *digests):
        whole.update(part)
    return whole.digest()


def _digest(part: memoryview) -> bytes:
    return hashlib.blake2b(part, digest_size=SEAL).digest()


def write_sealed(path: Path, content: bytes) -> None:
    """Write ``content`` behind its seal.

    Raises:
        OSError: it could not be written.
    """
    make_way(path)
    write_whole(path, seal(path.name, content) + content, durable=False)


def make_way(path: Path) -> None:
    """Remove a link, pipe or device at ``path``, which would be followed or written to."""
    if path.is_symlink() or not (path.is_file() or path.is_dir()):
        path.unlink(missing_ok=True)


def read_sealed(path: Path) -> bytes | None:
    """Read what :func:`write_sealed` wrote; None if nothing is there, and, with a warning, if it is
    damaged or another user's."""
    try:
        with open(path, "rb", opener=without_waiting) as file:
            regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            content = file.read() if regular else b""
    except FileNotFoundError:
        return None
    except OSError as error:
        _log.warning("%s is made anew: it cannot be read (%s)", path, error)
        return None
    if not genuine(path.name, content[:SEAL], memoryview(content)[SEAL:]):
        _log.warning("%s is made anew: it is damaged or not this user's", path)
        return None
    return content[SEAL:]


def without_waiting(path: str, flags: int) -> int:
    """Open a file for :func:`open` without waiting for the other end of a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def genuine(name: str, digest: bytes, content: bytes | memoryview) -> bool:
    """Whether ``digest`` is the seal of ``content``."""
    return len(digest) == SEAL and hmac.compare_digest(digest, seal(name, content))


@cache
def _key() -> bytes:
    """Return this user's key, made when first needed; where it cannot be kept, one of this run."""
    path = user_folder() / "key"
    try:
        if path.exists() and path.stat().st_size != SEAL:  # a full disk cut it off
            path.unlink()
        if not path.exists():
            with tempfile.TemporaryDirectory(dir=path.parent) as place:
                fresh = Path(place) / "key"
                fresh.touch(mode=0o600)
                fresh.write_bytes(os.urandom(SEAL))
                with suppress(FileExistsError):  # another process was faster, and its key counts
                    os.link(fresh, path)
        return path.read_bytes()
    except OSError as error:
        _log.warning("%s cannot be kept (%s): caches serve this run alone", path, error)
        return os.urandom(SEAL)
