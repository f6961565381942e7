"""Fill a partial file by one HTTP request, which goes on where the file ends."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import NoReturn
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from tqdm import tqdm

from deepspeech2.escaping import printable

_CHUNK = 1 << 18  # bytes
LEAST_RATE = 1000  # bytes a second, over any stretch of the time that a read may take
_MOST_BYTES = 16 << 30  # of a file of unknown length
_PATIENCE = 4  # times the timeout, for redirects and the header together
HTML = re.compile(rb"\s*<(!doctype html|html|head|body)", re.IGNORECASE)
"""The beginning of a web page."""
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


class Slow(Broken):
    """The server sends so few bytes that the file would never be complete."""


class Refused(Exception):
    """The server does not have the file; asking again is no use."""


class Stopped(Exception):
    """The transfer was told to stop."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What people see of a transfer, and what ends it early.

    Attributes:
        least_shown: bytes from which on there is a progress bar.
        stop: once it is set, the transfer ends.
    """

    least_shown: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def bar(self, part: Path, start: int, total: int | None) -> tqdm[NoReturn]:
        """A progress bar in bytes."""
        small = total is not None and total < self.least_shown
        name = part.name.removesuffix(".part")
        return tqdm(
            total=total, initial=start, desc=name, unit="B", unit_scale=True,
            disable=True if small else None,
        )  # fmt: skip

    def check(self) -> None:
        """Raise Stopped if it is set."""
        if self.stop.is_set():
            raise Stopped


class SafeSession(requests.Session):
    """A session whose redirects do not lead from an encrypted connection to a plain one."""

    max_redirects = 10

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        target = super().get_redirect_target(resp)
        if target is not None and urlsplit(resp.url).scheme == "https":
            scheme = urlsplit(urljoin(resp.url, target)).scheme
            if scheme != "https":
                resp.close()
                raise Refused(f"leads from https to {printable(scheme)}, where anybody can meddle")
        return target


def transfer(
    session: requests.Session,
    url: str,
    part: Path,
    *,
    size: int | None,
    validated: bool,
    timeout: float,
    before_writing: Callable[[int], None],
    most: int | None = None,
    watch: Watch | None = None,
) -> None:
    """Make ``part`` the whole file at ``url``, requesting only what it lacks.

    Args:
        session: keeps connections.
        part: the partial file; its content is taken for the beginning of the file.
        size: bytes of the whole file, if known.
        validated: make sure with If-Range that ``part`` is still the beginning of the file at
            ``url``. Not for files whose checksum is known: the copies of different mirrors have
            different validators.
        timeout: seconds for the connection and for each read; a server that sends less than
            1 kB a second over as long, or a header for four times as long, counts as silent.
        before_writing: called with the number of bytes to come, if that is known.
        most: the limit of a file of unknown length, in bytes; None: 16 GiB.
        watch: whether there is a progress bar, and when to stop.

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
    with _failures(timeout), _answer(session, url, headers, timeout) as response:
        if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            _settle_unsatisfiable(response, part, offset)
        else:
            _check(response, part)
            _note_validator(response, memo)
            _receive(response, part, offset, size, before_writing, most, timeout, watch or Watch())
    memo.unlink(missing_ok=True)


def version(session: requests.Session, url: str, timeout: float) -> dict[str, str]:
    """What identifies this version of a file, of which nothing is received; may be empty.

    By GET, as a signed address is good for that alone.

    Raises:
        Broken, Refused: as :func:`transfer`.
    """
    headers = {"Accept-Encoding": "identity"}
    with _failures(timeout), _answer(session, url, headers, timeout) as response:
        _check(response, Path(urlsplit(url).path))
        known = {name: response.headers.get(name) for name in ("ETag", "Last-Modified")}
        found = {name: value for name, value in known.items() if value}
        return found and {**found, "Content-Length": response.headers.get("Content-Length", "")}


@contextmanager
def _failures(timeout: float) -> Iterator[None]:
    """Turn what requests raises into Broken and Refused."""
    try:
        yield
    except (requests.Timeout, urllib3.exceptions.TimeoutError):
        raise Broken(f"does not answer within {timeout:g} s") from None
    except requests.exceptions.SSLError as error:
        raise Refused(f"has no valid certificate ({type(error).__name__})") from error
    except (requests.ConnectionError, urllib3.exceptions.HTTPError) as error:
        raise Broken(f"cannot be reached or broke off ({_root(error)})") from error
    except requests.RequestException as error:
        raise Refused(f"cannot be requested ({_root(error)})") from error


def _answer(
    session: requests.Session, url: str, headers: Mapping[str, str], timeout: float
) -> requests.Response:
    """Return the response; a thread waits for its header, which may arrive byte by byte."""
    answers: list[requests.Response | BaseException] = []
    given_up = threading.Event()

    def ask() -> None:
        try:
            response = session.get(url, headers=headers, stream=True, timeout=timeout)
        except BaseException as error:
            answers.append(error)
        else:
            answers.append(response)
            if given_up.is_set():
                response.close()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_PATIENCE * timeout)
    if not answers:
        given_up.set()
        raise requests.Timeout
    if isinstance(answers[0], BaseException):
        raise answers[0]
    return answers[0]


def _check(response: requests.Response, part: Path) -> None:
    """Raise unless the response brings a file."""
    status = response.status_code
    if status in _TEMPORARY:
        raise Broken(f"answers {status} {printable(response.reason or '')}")
    if status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        raise Refused(f"answers {status} {printable(response.reason or '')}")
    if response.headers.get("Content-Type", "").startswith("text/html") and not _wants_page(part):
        raise Refused("answers with a web page in place of the file")


def _wants_page(part: Path) -> bool:
    return part.name.removesuffix(".part").endswith((".html", ".htm"))


def _receive(
    response: requests.Response,
    part: Path,
    offset: int,
    size: int | None,
    before_writing: Callable[[int], None],
    most: int | None,
    timeout: float,
    watch: Watch,
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
        watch.bar(part, start, total) as bar,
    ):
        most = total or most or _MOST_BYTES
        since, before = time.monotonic(), done
        # Raw bytes: a server that calls a .tar.gz gzip-encoded must not have it unpacked here.
        while chunk := response.raw.read1(_CHUNK, decode_content=False):
            watch.check()
            if done == 0 and HTML.match(chunk) and not _wants_page(part):
                raise Refused("answers with a web page in place of the file")
            if done + len(chunk) > most:
                raise Refused(f"sends more than the {most} bytes that a file may have")
            file.write(chunk)
            done += len(chunk)
            bar.update(len(chunk))
            if (seconds := time.monotonic() - since) > timeout:
                if done - before < LEAST_RATE * seconds:
                    raise Slow(f"sends less than {LEAST_RATE} bytes a second")
                since, before = time.monotonic(), done
    if done == 0:
        raise Refused("sends an empty file")
    if total is not None and done < total:
        raise Broken(f"broke off after {done} of {total} bytes")


def _extent(response: requests.Response) -> tuple[int, int | None]:
    """Return where the body starts in the file, and the size of the file, if that is known."""
    if response.status_code == HTTPStatus.PARTIAL_CONTENT:
        match = re.fullmatch(
            r"bytes (\d{1,18})-\d+/(\d{1,18}|\*)", response.headers.get("Content-Range", "")
        )
        if match is None:
            raise Refused("answers a range request without saying which range")
        return int(match[1]), None if match[2] == "*" else int(match[2])
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if re.fullmatch(r"\d{1,18}", length, re.ASCII) else None


def _settle_unsatisfiable(response: requests.Response, part: Path, offset: int) -> None:
    """Status 416: ``part`` is complete if it has the size of the server's file, else remove it."""
    match = re.fullmatch(r"bytes \*/(\d{1,18})", response.headers.get("Content-Range", ""))
    if match is not None and int(match[1]) == offset:
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
    """Name the innermost reason: the outer messages are long and repeat each other."""
    while True:
        inner = getattr(error, "reason", None) or next(
            (one for one in error.args if isinstance(one, BaseException)), None
        )
        if not isinstance(inner, BaseException):
            return type(error).__name__
        error = inner
