"""One HTTP request that fills a partial file, or goes on where it ends."""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import requests
import urllib3
from tqdm import tqdm

_CHUNK = 1 << 18  # bytes
_HTML = re.compile(rb"\s*<(!doctype html|html|head|body)", re.IGNORECASE)
_TEMPORARY = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}


class Broken(Exception):
    """The transfer broke off; asking again may help. The message follows the address."""


class Refused(Exception):
    """The server does not have the file; asking again is no use."""


def transfer(
    session: requests.Session,
    url: str,
    part: Path,
    *,
    size: int | None,
    validated: bool,
    timeout: float,
    before_writing: Callable[[int], None],
) -> None:
    """Make ``part`` the whole file at ``url``, requesting only what it lacks.

    Args:
        session: keeps connections.
        url: of the file.
        part: the partial file; what it holds is taken for the beginning of the file.
        size: bytes of the whole file, if known.
        validated: make sure with If-Range that the file at ``url`` is still the one that
            ``part`` is the beginning of. Not for files whose checksum is known: the copies of
            different mirrors have different validators.
        timeout: seconds for the connection and for each read.
        before_writing: called with the number of bytes to come, if that is known.

    Raises:
        Broken, Refused: ``part`` keeps what has arrived.
        OSError: it cannot be written.
    """
    memo = part.with_name(f"{part.name}.validator")
    offset = part.stat().st_size if part.exists() else 0
    # Compressed for the way, a file would have another length and other offsets.
    headers = {"Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if validated and memo.exists():
            headers["If-Range"] = memo.read_text(encoding="latin-1")
    try:
        with session.get(url, headers=headers, stream=True, timeout=timeout) as response:
            if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                _settle_unsatisfiable(response, part, offset)
            else:
                _check(response, part)
                _note_validator(response, memo)
                _receive(response, part, offset, size, before_writing)
    except (requests.Timeout, urllib3.exceptions.TimeoutError):
        raise Broken(f"does not answer within {timeout:g} s") from None
    except requests.exceptions.SSLError as error:
        raise Refused(f"has no valid certificate ({type(error).__name__})") from error
    except (requests.ConnectionError, urllib3.exceptions.HTTPError) as error:
        raise Broken(f"cannot be reached or broke off ({_root(error)})") from error
    except requests.RequestException as error:
        raise Refused(f"cannot be requested ({_root(error)})") from error
    memo.unlink(missing_ok=True)


def _check(response: requests.Response, part: Path) -> None:
    """Raise unless the response brings a file."""
    status = response.status_code
    if status in _TEMPORARY:
        raise Broken(f"answers {status} {response.reason}")
    if status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        raise Refused(f"answers {status} {response.reason}")
    wants_page = part.name.removesuffix(".part").endswith((".html", ".htm"))
    if response.headers.get("Content-Type", "").startswith("text/html") and not wants_page:
        raise Refused("answers with a web page in place of the file")


def _receive(
    response: requests.Response,
    part: Path,
    offset: int,
    size: int | None,
    before_writing: Callable[[int], None],
) -> None:
    """Write the body behind the first ``offset`` bytes, or over them if it is the whole file."""
    start, total = _extent(response)
    if start not in (0, offset):
        raise Refused(f"sends bytes from {start} on where {offset} was asked for")
    if size is not None and total is not None and total != size:
        raise Refused(f"has a file of {total} bytes where {size} are due")
    total = total if total is not None else size
    if total is not None:
        before_writing(total - start)
    done = start
    with (
        part.open("ab" if start else "wb") as file,
        tqdm(
            total=total,
            initial=start,
            desc=part.name.removesuffix(".part"),
            unit="B",
            unit_scale=True,
            disable=None,
        ) as bar,
    ):
        # Raw bytes: a server that calls a .tar.gz gzip-encoded must not have it unpacked here.
        for chunk in response.raw.stream(_CHUNK, decode_content=False):
            if done == 0 and _HTML.match(chunk):
                raise Refused("answers with a web page in place of the file")
            file.write(chunk)
            done += len(chunk)
            bar.update(len(chunk))
    if done == 0:
        raise Refused("sends an empty file")
    if total is not None and done < total:
        raise Broken(f"broke off after {done} of {total} bytes")


def _extent(response: requests.Response) -> tuple[int, int | None]:
    """Where the body starts in the file, and how many bytes the file has, if that is said."""
    if response.status_code == HTTPStatus.PARTIAL_CONTENT:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if found is None:
            raise Refused("answers a range request without saying which range")
        return int(found[1]), None if found[2] == "*" else int(found[2])
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _settle_unsatisfiable(response: requests.Response, part: Path, offset: int) -> None:
    """Status 416: ``part`` is whole if the server's file has as many bytes, else it goes."""
    found = re.fullmatch(r"bytes \*/(\d+)", response.headers.get("Content-Range", ""))
    if found is not None and int(found[1]) == offset:
        return
    part.unlink(missing_ok=True)
    raise Broken("has a shorter file than the part that was here")


def _note_validator(response: requests.Response, memo: Path) -> None:
    """Remember what identifies this version of the file (weak tags do not, RFC 9110, 8.8.1)."""
    tag = response.headers.get("ETag", "")
    validator = response.headers.get("Last-Modified", "") if tag[:2] in ("", "W/") else tag
    if validator:
        memo.write_text(validator, encoding="latin-1")
    elif response.status_code == HTTPStatus.OK:
        memo.unlink(missing_ok=True)


def _root(error: BaseException) -> str:
    """The name of the innermost reason: the outer messages are long and repeat each other."""
    while True:
        inner = getattr(error, "reason", None) or next(
            (one for one in error.args if isinstance(one, BaseException)), None
        )
        if not isinstance(inner, BaseException):
            return type(error).__name__
        error = inner
