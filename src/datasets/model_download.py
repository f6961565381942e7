"""The released checkpoint: from Google Drive, or from any address."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import requests

from src.errors import DownloadError
from src.network.fetch import Expected, disk_error, fetch, locked

RELEASED = "https://drive.google.com/file/d/1LoU_kCzl20hM5p709teRPB0a4Jib8VK-/view"


def download_model(
    output: Path, *, url: str = RELEASED, sha256: str | None = None, timeout: float = 30.0
) -> bool:
    """Make sure that ``output`` holds the file at ``url``.

    Args:
        output: where it goes. A file that lies there is kept.
        url: a file shared on Google Drive, or any address.
        sha256: its checksum as 64 hexadecimal digits; None to take what comes.
        timeout: seconds to wait for an answer, and for the next bytes.

    Returns:
        Whether anything was downloaded: false if the file was there.

    Raises:
        DownloadError: it cannot be had, or what lies at ``output`` has another checksum.
    """
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256.strip()):
        raise DownloadError(f"--sha256 must be 64 hexadecimal digits, but is {sha256!r}")
    if output.is_dir():
        raise DownloadError(f"--output must name a file, but {output} is a folder")
    if output.exists():
        fault = Expected(sha256=sha256).fault(output)
        if fault is not None:
            raise DownloadError(
                f"{output} is there already and {fault}: move it away or name another --output"
            )
        return False
    if urlsplit(url).hostname in ("drive.google.com", "docs.google.com"):
        _from_google_drive(url, output, sha256, timeout)
    else:
        fetch([url], output, sha256=sha256, timeout=timeout)
    return True


def _from_google_drive(url: str, output: Path, sha256: str | None, timeout: float) -> None:
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
            fault = _page_or_fault(arrived, sha256)
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


def _page_or_fault(path: Path, sha256: str | None) -> str | None:
    with path.open("rb") as file:
        if re.match(rb"\s*<(!doctype html|html)", file.read(512), re.IGNORECASE):
            return "is a web page"
    return Expected(sha256=sha256).fault(path)
