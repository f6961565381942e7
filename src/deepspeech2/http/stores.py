"""Files in S3 and other stores that fsspec knows; for each it needs a package of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deepspeech2.errors import ConfigError, DownloadError
from deepspeech2.escaping import first_line, without_secrets
from deepspeech2.files import require_space
from deepspeech2.http.addresses import scheme
from deepspeech2.http.transfer import Broken, Refused, Watch
from deepspeech2.paths import install

_BLOCK = 1 << 20  # bytes
_OURS = ("s3", "s3a", "hf")  # of requirements-remote.txt
_MARKS = {
    "size", "etag", "lastmodified", "last_modified", "mtime", "updated", "created", "md5hash",
    "content-md5", "generation", "blob_id",
}  # fmt: skip


def transfer(address: str, part: Path, watch: Watch) -> None:
    """Make ``part`` the whole file at ``address``.

    Raises:
        Broken: asking again may help. The message follows the address.
        Refused: asking again is no use.
        ConfigError: a package is missing.
        OSError: it cannot be written.
    """
    with _failures(address):
        store, path = _open(address)
        info = store.info(path)
        file = store.open(path, "rb") if info["type"] == "file" else None
    if file is None:
        raise Refused("is a folder, where a file is needed")
    size = info.get("size")
    if size is not None:
        require_space(part.parent, size, f"fetching {without_secrets(address)}")
    with watch.bar(part, 0, size) as bar, file, part.open("wb") as ours:
        while True:
            watch.check()
            with _failures(address):
                block = file.read(_BLOCK)
            if not block:
                break
            ours.write(block)
            bar.update(len(block))
    if size is not None and part.stat().st_size != size:
        raise Broken(f"broke off after {part.stat().st_size} of {size} bytes")


def version(address: str) -> dict[str, str]:
    """What identifies this version of a file; may be empty.

    Raises:
        Broken, Refused, ConfigError: as :func:`transfer`.
    """
    with _failures(address):
        store, path = _open(address)
        store.invalidate_cache()
        info = store.info(path)
    return {key: str(value) for key, value in info.items() if key.lower() in _MARKS}


def matching(pattern: str) -> list[str]:
    """The addresses of the files that ``pattern`` names, sorted.

    Raises:
        Broken, Refused, ConfigError: as :func:`transfer`.
    """
    with _failures(pattern):
        store, path = _open(pattern)
        store.invalidate_cache()
        return sorted(str(store.unstrip_protocol(each)) for each in store.glob(path))


def _open(address: str) -> tuple[Any, str]:
    import fsspec

    store, path = fsspec.core.url_to_fs(address)
    return store, str(path)


@contextmanager
def _failures(address: str) -> Iterator[None]:
    """Turn what a store's package raises into ours."""
    try:
        yield
    except (ConfigError, DownloadError):
        raise
    except FileNotFoundError:
        raise Refused("does not exist") from None
    except PermissionError as error:
        raise Refused(f"may not be read ({without_secrets(first_line(error))})") from error
    except ImportError as error:
        named = re.search(r"[Ii]nstall (?:the )?[\"'`]?(\w[\w-]*)", str(error))
        others = named is not None and scheme(address) not in _OURS
        command = f"pip install {named[1]}" if named and others else install("remote")
        raise ConfigError(
            f"{without_secrets(address)} needs a package ({first_line(error)}): {command}"
        ) from error
    except Exception as error:  # of packages whose errors have nothing in common
        said = f"{type(error).__name__}: {without_secrets(first_line(error))}"
        raise Broken(f"cannot be read ({said})") from error
