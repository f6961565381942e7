"""A model's file: from Google Drive, the Hugging Face hub, any address, or another place."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import requests

from src.errors import DownloadError
from src.files import locked, whole_file
from src.network.fetch import Expected, disk_error, fetch


def download_model(
    output: Path,
    sources: Sequence[str],
    *,
    sha256: str | None = None,
    size: int | None = None,
    timeout: float = 30.0,
    unchecked: bool = False,
) -> bool:
    """Make sure that ``output`` holds the file that ``sources`` have.

    Args:
        output: where it goes. A file that lies there is kept.
        sources: addresses of the same file, in order: any, a file shared on Google Drive, or
            ``hf://OWNER/REPOSITORY/FILE`` on the Hugging Face hub.
        sha256: its checksum as 64 hexadecimal digits.
        size: its bytes.
        timeout: seconds to wait for an answer, and for the next bytes.
        unchecked: take what comes where no checksum is known.

    Returns:
        Whether anything was downloaded: false if the file was there.

    Raises:
        DownloadError: no source has it, or what lies at ``output`` has another checksum.
    """
    expected = _expected(output, sha256, size)
    if output.exists():
        _check_kept(output, expected)
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
                _from_google_drive(url, output, expected, timeout)
            else:
                fetch([url], output, sha256=sha256, size=size, timeout=timeout, unchecked=unchecked)
            return True
        except DownloadError as error:
            reasons.append(str(error))
    raise DownloadError("; ".join(reasons) or f"{output} has no source to be downloaded from")


def copy_model(
    file: Path, output: Path, *, sha256: str | None = None, size: int | None = None
) -> bool:
    """The same from a file that was had in another way.

    Raises:
        DownloadError: it cannot be read, or is not the file that it should be.
    """
    expected = _expected(output, sha256, size)
    if output.exists():
        _check_kept(output, expected)
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


def _check_kept(output: Path, expected: Expected) -> None:
    fault = expected.fault(output)
    if fault is not None:
        raise DownloadError(
            f"{output} is there already and {fault}: move it away or name another --output"
        )


def _address(source: str) -> str:
    """``hf://OWNER/REPOSITORY/FILE`` as the address that the Hugging Face hub serves it at."""
    if not source.startswith("hf://"):
        return source
    owner, _, rest = source.removeprefix("hf://").partition("/")
    repository, _, file = rest.partition("/")
    if not (owner and repository and file):
        raise DownloadError(f"{source} must be hf://OWNER/REPOSITORY/FILE")
    return f"https://huggingface.co/{owner}/{repository}/resolve/main/{file}"


def _from_google_drive(url: str, output: Path, expected: Expected, timeout: float) -> None:
    """gdown finds the way past Drive's question about viruses, and resumes its own partial file."""
    import gdown
    from gdown.exceptions import DownloadError as DriveError

    file_id = _drive_id(url)
    arrived = output.with_name(f"{output.name}.drive")
    by_hand = (
        f"open {url} in a browser, save the file as {output} and run this again with --sha256 to "
        "check it"
    )
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with locked(output.with_name(f"{output.name}.lock")):
            if output.exists():  # another process was faster
                return
            gdown.download(
                id=file_id,
                output=str(arrived),
                resume=True,
                use_cookies=False,
                timeout=timeout,
                retries=2,
            )
            fault = _page_or_fault(arrived, expected)
            if fault is not None:
                arrived.unlink()
                raise DownloadError(f"what Google Drive delivers {fault}: {by_hand}")
            arrived.replace(output)
    except (DriveError, requests.RequestException, KeyError) as error:
        reasons = (error, error.__cause__)
        if any(isinstance(one, requests.RequestException) for one in reasons):
            raise DownloadError(
                f"Google Drive cannot be reached: check the network and start again, or {by_hand}"
            ) from error
        # Drive refuses when the day's quota is used up, and words it in many ways.
        raise DownloadError(
            "Google Drive does not hand out the file (its quota for the day is used up, or the "
            f"file is not public): {by_hand}"
        ) from error
    except OSError as error:
        raise disk_error(error, output) from error


def _drive_id(url: str) -> str:
    found = re.search(r"/d/([\w-]{20,})|[?&]id=([\w-]{20,})", url)
    if found is None:
        raise DownloadError(
            f"{url} names no file of Google Drive: give an address with /file/d/ID or ?id=ID"
        )
    return found[1] or found[2]


def _page_or_fault(path: Path, expected: Expected) -> str | None:
    with path.open("rb") as file:
        if re.match(rb"\s*<(!doctype html|html)", file.read(512), re.IGNORECASE):
            return "is a web page"
    return expected.fault(path)
