"""Get a model's file from Google Drive, the Hugging Face hub, any address, or a local file."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from deepspeech2.errors import DownloadError
from deepspeech2.files import disk_error, whole_file
from deepspeech2.http.fetch import Expected, fetch
from deepspeech2.http.transfer import HTML, Broken, Refused, SafeSession, transfer

DRIVE = "https://drive.google.com/uc"
_PAGE = 1 << 20  # bytes that a page has at most


def download_model(
    output: Path,
    sources: Sequence[str],
    *,
    sha256: str | None = None,
    size: int | None = None,
    timeout: float = 30.0,
    unchecked: bool = False,
) -> bool:
    """Download ``output`` from the first of ``sources`` that delivers, unless it is there.

    Args:
        output: where it goes. A file that is there already is checked and kept.
        sources: addresses of the same file, in order: any, a file shared on Google Drive, or
            ``hf://OWNER/REPOSITORY/FILE`` on the Hugging Face hub.
        sha256: its checksum as 64 hexadecimal digits.
        size: its bytes.
        timeout: seconds to wait for an answer, and for the next bytes.
        unchecked: accept a file whose checksum is not known.

    Returns:
        Whether anything was downloaded: false if the file was there.

    Raises:
        DownloadError: no source has it, or the file at ``output`` is another one.
    """
    expected = _expected(output, sha256, size)
    if _is_there(output, expected):
        return False
    if sha256 is None and not unchecked:
        raise DownloadError(
            f"no checksum of {output.name} is known: name it with --sha256, or take what comes"
            " with --unchecked"
        )
    reasons = []
    for source in sources:
        url = _address(source)
        try:
            if urlsplit(url).hostname in ("drive.google.com", "docs.google.com"):
                _from_google_drive(url, output, expected, timeout, unchecked)
            else:
                fetch([url], output, sha256=sha256, size=size, timeout=timeout, unchecked=unchecked)
            return True
        except DownloadError as error:
            reasons.append(str(error))
    raise DownloadError("; ".join(reasons) or f"{output} has no source to be downloaded from")


def copy_model(
    file: Path, output: Path, *, sha256: str | None = None, size: int | None = None
) -> bool:
    """As :func:`download_model`, from a local file.

    Raises:
        DownloadError: it cannot be read, or is not the file that it should be.
    """
    expected = _expected(output, sha256, size)
    if _is_there(output, expected):
        return False
    if not file.is_file():
        raise DownloadError(f"{file} does not exist: name the file that you have")
    fault = expected.fault(file)
    if fault is not None:
        raise DownloadError(f"{file} {fault}: it is another file, or was cut off on its way")
    try:
        with file.open("rb") as theirs, whole_file(output) as ours:
            shutil.copyfileobj(theirs, ours)
    except OSError as error:
        raise disk_error(error, output) from error
    return True


def _expected(output: Path, sha256: str | None, size: int | None) -> Expected:
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256.strip()):
        raise DownloadError(f"--sha256 must be 64 hexadecimal digits, but is {sha256!r}")
    if output.is_dir():
        raise DownloadError(f"--output must name a file, but {output} is a folder")
    return Expected(sha256=sha256, size=size)


def _is_there(output: Path, expected: Expected) -> bool:
    fault = expected.fault(output) if output.exists() else None
    if fault is not None:
        raise DownloadError(
            f"{output} is there already and {fault}: move it away or name another --output"
        )
    return output.exists()


def _address(source: str) -> str:
    """Expand ``hf://OWNER/REPOSITORY/FILE`` to its address at the Hugging Face hub."""
    if not source.startswith("hf://"):
        return source
    owner, _, rest = source.removeprefix("hf://").partition("/")
    repository, _, file = rest.partition("/")
    if not (owner and repository and file):
        raise DownloadError(f"{source} must be hf://OWNER/REPOSITORY/FILE")
    return f"https://huggingface.co/{owner}/{repository}/resolve/main/{file}"


def _from_google_drive(
    url: str, output: Path, expected: Expected, timeout: float, unchecked: bool
) -> None:
    by_hand = (
        f"open {url} in a browser, save the file as {output} and run this again with --sha256 to "
        "check it"
    )
    try:
        address = _drive_address(f"{DRIVE}?id={_drive_id(url)}", timeout)
    except Broken as error:
        raise DownloadError(
            f"Google Drive {error}: check the network and start again, or {by_hand}"
        ) from error
    except (Refused, ValueError) as error:
        # Drive refuses when the day's quota is used up, and words it in many ways.
        raise DownloadError(
            "Google Drive does not hand out the file (its quota for the day is used up, or the "
            f"file is not public): {by_hand}"
        ) from error
    sha256, size = expected.sha256, expected.size
    try:
        fetch([address], output, sha256=sha256, size=size, timeout=timeout, unchecked=unchecked)
    except DownloadError as error:
        raise DownloadError(f"{error}; or {by_hand}") from error


def _drive_address(address: str, timeout: float) -> str:
    """Return the address of a file shared on Drive: itself, or the link on its warning page.

    Raises:
        Broken, Refused: Drive cannot be asked.
        ValueError: the page has no link.
    """
    from gdown.download import get_url_from_gdrive_confirmation
    from gdown.exceptions import DownloadError as DriveError

    with tempfile.TemporaryDirectory() as folder, SafeSession() as session:
        page = Path(folder) / "page.html"
        try:
            transfer(
                session,
                address,
                page,
                size=None,
                validated=False,
                timeout=timeout,
                before_writing=_only_a_page,
                most=_PAGE,
            )
        except _TooLarge:
            return address
        except Refused:
            if not page.exists():
                raise
        content = page.read_bytes()
    if not HTML.match(content):
        return address
    try:
        link = get_url_from_gdrive_confirmation(content.decode("utf-8", "replace"))
    except (DriveError, KeyError, AssertionError) as error:  # its errors for other pages
        raise ValueError("the page has no address") from error
    if urlsplit(link).scheme not in ("https", urlsplit(address).scheme):
        raise Refused("leads from https to an address where anybody can meddle")
    return link


class _TooLarge(Exception):
    """The answer is too large for a page."""


def _only_a_page(n_bytes: int) -> None:
    if n_bytes > _PAGE:
        raise _TooLarge


def _drive_id(url: str) -> str:
    match = re.search(r"/d/([\w-]{20,})|[?&]id=([\w-]{20,})", url)
    if match is None:
        raise DownloadError(
            f"{url} names no file of Google Drive: give an address with /file/d/ID or ?id=ID"
        )
    return match[1] or match[2]
