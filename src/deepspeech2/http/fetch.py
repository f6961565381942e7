"""Download a file from several mirrors, resume it where it broke off, and check it.

Resuming follows RFC 9110, section 14 (range requests) and 13.1.5 (If-Range).
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import requests

from deepspeech2.errors import DownloadError
from deepspeech2.escaping import without_secrets
from deepspeech2.files import disk_error, locked, require_space
from deepspeech2.http.transfer import (
    LEAST_RATE,
    Broken,
    Refused,
    SafeSession,
    Slow,
    Watch,
    transfer,
)

MIRRORS = (
    "https://www.openslr.org/resources",
    "https://us.openslr.org/resources",
    "https://openslr.elda.org/resources",
    "https://openslr.trmal.net/resources",
)
"""Base addresses of OpenSLR and its mirrors; ``/<resource>/<file>`` follows."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Expected:
    """Checksums that a file must have, as hexadecimal digits, and its size in bytes."""

    md5: str | None = None
    sha256: str | None = None
    size: int | None = None

    @property
    def checksums(self) -> dict[str, str]:
        known = {"md5": self.md5, "sha256": self.sha256}
        return {name: value.strip().lower() for name, value in known.items() if value}

    def fault(self, path: Path) -> str | None:
        """Return what is wrong with the file at ``path`` in half a sentence, or None."""
        if self.size is not None and path.stat().st_size != self.size:
            return f"has {path.stat().st_size} bytes where {self.size} are due"
        for name, value in self.checksums.items():
            digest = checksum(path, name)
            if digest != value:
                return f"has the {name} {digest} where {value} is due"
        return None


def checksum(path: Path, name: str = "sha256") -> str:
    """Return the hexadecimal digest of a file by the algorithm ``name`` of hashlib."""
    with path.open("rb") as file:
        return hashlib.file_digest(
            file, lambda: hashlib.new(name, usedforsecurity=False)
        ).hexdigest()


def fetch(
    urls: Sequence[str],
    target: Path,
    *,
    md5: str | None = None,
    sha256: str | None = None,
    size: int | None = None,
    timeout: float = 30.0,
    retries: int = 3,
    unchecked: bool = False,
) -> Path:
    """Download to ``target`` from the first of ``urls`` that delivers.

    What has arrived is kept in ``<target>.part`` and resumed, by a later call as well; ``target``
    appears only when it is complete. Of several processes that want the same file one downloads
    it while the others wait.

    Args:
        urls: mirrors of the same file, in order.
        target: where the file goes; a file that is there already is checked and kept.
        md5, sha256: checksums that it must have.
        size: bytes that it must have.
        timeout: seconds to wait for an answer, and for the next bytes.
        retries: how often each mirror is asked without any progress.
        unchecked: accept a file whose checksum is not known.

    Raises:
        DownloadError: no mirror delivers, none delivers the right bytes, or the disk is full.
    """
    expected = Expected(md5, sha256, size)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(target.with_name(f"{target.name}.lock")):
            if target.exists():
                fault = expected.fault(target)
                if fault is not None:
                    raise DownloadError(f"{target} {fault}: delete or move it and start again")
                return target
            if not (expected.checksums or unchecked):
                raise DownloadError(
                    f"{target.name} has no checksum that it could be compared with: name one, or"
                    " ask for it unchecked"
                )
            return _download(urls, target, expected, timeout, retries)
    except OSError as error:
        raise disk_error(error, target) from error


def _download(
    urls: Sequence[str], target: Path, expected: Expected, timeout: float, retries: int
) -> Path:
    """Ask the mirrors in rounds, so that a short outage of the network does no harm."""
    part = target.with_name(f"{target.name}.part")
    reasons: dict[str, str] = {}
    waiting = list(dict.fromkeys(urls))
    with SafeSession() as session:
        for attempt in range(retries):
            if attempt:
                time.sleep(min(2.0 ** (attempt - 1), 30.0))
            for url in list(waiting):
                try:
                    from_mirror(session, url, part, expected, timeout)
                except Refused as refusal:
                    reasons[url] = str(refusal)
                    waiting.remove(url)
                except Broken as failure:
                    reasons[url] = str(failure)
                else:
                    part.replace(target)
                    return target
                _log.warning("%s %s", without_secrets(url), reasons[url])
            if not waiting:
                break
    raise DownloadError(_explain(reasons, target, part))


def from_mirror(
    session: requests.Session,
    url: str,
    part: Path,
    expected: Expected,
    timeout: float,
    watch: Watch | None = None,
) -> None:
    """Fill ``part`` from one mirror, asking again as long as that brings new bytes.

    Raises:
        Broken, Refused: see :func:`~deepspeech2.http.transfer.transfer`.
    """
    reached = part.stat().st_size if part.exists() else 0
    resumed = reached > 0
    while True:
        try:
            transfer(
                session,
                url,
                part,
                size=expected.size,
                validated=not expected.checksums,
                timeout=timeout,
                before_writing=lambda more: require_space(
                    part.parent, more, f"downloading {without_secrets(url)}"
                ),
                watch=watch,
            )
        except Slow:
            raise
        except Broken:
            now = part.stat().st_size if part.exists() else 0
            if now < reached + LEAST_RATE:  # or a line that is cut after each byte goes on for ever
                raise
            reached = now
            continue
        fault = expected.fault(part)
        if fault is None:
            return
        part.unlink()
        if not resumed:
            raise Refused(f"delivers a file that {fault}")
        # The bytes that were here before may be to blame: once more, from the start.
        resumed, reached = False, 0


def _explain(reasons: dict[str, str], target: Path, part: Path) -> str:
    tried = "; ".join(f"{without_secrets(url)} {reason}" for url, reason in reasons.items())
    kept = f", what has arrived is kept in {part}" if part.exists() else ""
    return (
        f"{target.name} could not be downloaded ({tried}): check the network and start again, "
        f"or put the file at {target} by hand{kept}"
    )
