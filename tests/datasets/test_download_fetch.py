"""Fetching from a server on loopback that behaves well or badly."""

from __future__ import annotations

import errno
import hashlib
import multiprocessing
import random
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from deepspeech2.errors import DownloadError
from deepspeech2.files import locked
from deepspeech2.http import fetch as fetch_module
from deepspeech2.http import transfer as transfer_module
from deepspeech2.http.fetch import checksum
from tests.loopback import Resource, Server, serve

fetch = partial(fetch_module.fetch, unchecked=True)
BODY = random.Random(0).randbytes(300_000)
MD5 = hashlib.md5(BODY).hexdigest()
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(fetch_module.time, "sleep", lambda _: None)
    with serve() as state:
        yield state


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "file.bin"


def part_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def left_over(target: Path) -> set[str]:
    return {path.name for path in target.parent.iterdir() if not path.name.endswith(".lock")}


def test_whole(server: Server, target: Path) -> None:
    url = server.put("/f", Resource(BODY))
    assert fetch([url], target, md5=MD5, sha256=SHA256.upper(), size=len(BODY)) == target
    assert target.read_bytes() == BODY
    assert checksum(target) == SHA256
    assert left_over(target) == {"file.bin"}
    fetch([url], target, md5=MD5)
    assert len(server.requests) == 1  # what is there is not fetched again


@pytest.mark.parametrize("known", [{}, {"sha256": SHA256}])
def test_broken_off_is_resumed(server: Server, target: Path, known: dict[str, str]) -> None:
    url = server.put("/f", Resource(BODY, breaks=[100_000, 50_000], etag='"v1"'))
    fetch([url], target, **known)
    assert target.read_bytes() == BODY
    ranges = [request.range for request in server.requests]
    assert ranges == [None, "bytes=100000-", "bytes=150000-"]
    assert [request.sent for request in server.requests] == [100_000, 50_000, 150_000]
    assert left_over(target) == {"file.bin"}


def test_a_later_call_resumes(server: Server, target: Path) -> None:
    url = server.put("/f", Resource(BODY, breaks=[70_000, 0, 0, 0]))
    with pytest.raises(DownloadError, match="broke off") as caught:
        fetch([url], target, retries=2)
    assert url in str(caught.value)
    assert str(part_of(target)) in str(caught.value)
    assert part_of(target).read_bytes() == BODY[:70_000]
    server.requests.clear()
    server.resources["/f"].breaks.clear()
    fetch([url], target, sha256=SHA256)
    assert [request.range for request in server.requests] == ["bytes=70000-"]
    assert server.requests[0].sent == len(BODY) - 70_000


def test_range_ignored_starts_over(server: Server, target: Path) -> None:
    url = server.put("/f", Resource(BODY, ranges=False))
    target.parent.mkdir()
    part_of(target).write_bytes(b"x" * 400_000)  # longer than the file, too
    fetch([url], target)
    assert target.read_bytes() == BODY


def test_range_ignored_and_always_broken_ends(server: Server, target: Path) -> None:
    url = server.put("/f", Resource(BODY, ranges=False, breaks=[100_000] * 20))
    with pytest.raises(DownloadError):
        fetch([url], target, retries=2)
    assert len(server.requests) <= 4


def test_changed_file_is_not_spliced(server: Server, target: Path) -> None:
    url = server.put("/f", Resource(BODY[::-1], breaks=[100_000, 0, 0], etag='"old"'))
    with pytest.raises(DownloadError):
        fetch([url], target, retries=1)
    server.put("/f", Resource(BODY, etag='"new"'))
    fetch([url], target)
    assert target.read_bytes() == BODY


@pytest.mark.parametrize("extra", [b"", b"tail"])
def test_part_that_needs_nothing_more(server: Server, target: Path, extra: bytes) -> None:
    """A whole part is verified (416 names its length); one that is too long starts over."""
    url = server.put("/f", Resource(BODY))
    target.parent.mkdir()
    part_of(target).write_bytes(BODY + extra)
    fetch([url], target, md5=MD5)
    assert target.read_bytes() == BODY
    assert sum(request.sent for request in server.requests) == (len(BODY) if extra else 0)


def test_wrong_bytes_go_to_the_next_mirror(server: Server, target: Path) -> None:
    bad = server.put("/bad", Resource(BODY[::-1]))
    good = server.put("/good", Resource(BODY))
    fetch([bad, good], target, md5=MD5)
    assert target.read_bytes() == BODY
    assert [request.path for request in server.requests] == ["/bad", "/good"]
    assert server.requests[1].range is None


def test_wrong_bytes_everywhere_leave_nothing(server: Server, target: Path) -> None:
    url = server.put("/f", Resource(BODY[::-1]))
    with pytest.raises(DownloadError, match=MD5):
        fetch([url], target, md5=MD5)
    assert left_over(target) == set()
    assert len(server.requests) == 1


def test_spoilt_part_is_fetched_anew(server: Server, target: Path) -> None:
    url = server.put("/f", Resource(BODY))
    target.parent.mkdir()
    part_of(target).write_bytes(b"spoilt" * 100)
    fetch([url], target, md5=MD5)
    assert target.read_bytes() == BODY
    assert [request.range for request in server.requests] == ["bytes=600-", None]


def test_wrong_size_is_refused_before_it_is_read(server: Server, target: Path) -> None:
    url = server.put("/f", Resource(BODY))
    with pytest.raises(DownloadError, match=r"300000 bytes where 5 are due"):
        fetch([url], target, size=5)


@pytest.mark.parametrize("status", [403, 404])
def test_refusal_is_not_repeated(server: Server, target: Path, status: int) -> None:
    url = server.put("/f", Resource(status=status))
    with pytest.raises(DownloadError, match=f"answers {status}"):
        fetch([url], target)
    assert len(server.requests) == 1


def test_server_error_is_repeated(server: Server, target: Path) -> None:
    url = server.put("/f", Resource(status=503))
    with pytest.raises(DownloadError, match="answers 503"):
        fetch([url], target, retries=3)
    assert len(server.requests) == 3


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/octet-stream"])
def test_web_page_in_place_of_the_file(server: Server, target: Path, content_type: str) -> None:
    page = b"\n<!DOCTYPE html><html>quota exceeded</html>"
    url = server.put("/f", Resource(page, content_type=content_type))
    with pytest.raises(DownloadError, match="web page"):
        fetch([url], target)
    assert not target.exists()


def test_redirect(server: Server, target: Path) -> None:
    server.put("/real", Resource(BODY))
    url = server.put("/f", Resource(location="/real"))
    assert fetch([url], target, md5=MD5).read_bytes() == BODY


def test_stall_and_nobody_listening_go_on(server: Server, target: Path) -> None:
    stalls = server.put("/stalls", Resource(BODY, stalls=True))
    good = server.put("/good", Resource(BODY))
    fetch(["http://127.0.0.1:9/f", stalls, good], target, md5=MD5, timeout=0.3)
    assert target.read_bytes() == BODY


def test_no_network(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(DownloadError, match=r"http://127\.0\.0\.1:9/f .*check the network"):
        fetch(["http://127.0.0.1:9/f"], target, retries=1)


def test_existing_file_with_another_checksum_is_kept(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"mine")
    with pytest.raises(DownloadError, match="delete or move it"):
        fetch([server.put("/f", Resource(BODY))], target, md5=MD5)
    assert target.read_bytes() == b"mine"
    assert server.requests == []


def test_full_disk_is_seen_beforehand(
    server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil._ntuple_diskusage(10**9, 10**9 - 1000, 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    with pytest.raises(DownloadError, match="make room"):
        fetch([server.put("/f", Resource(BODY))], target)
    assert not part_of(target).exists()


def test_disk_that_fills_up(server: Server, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetch_module, "transfer", full)
    with pytest.raises(DownloadError, match="disk is full"):
        fetch([server.put("/f", Resource(BODY))], target)


def _fetch_in_process(url: str, target: Path, ready: threading.Event) -> None:
    ready.set()
    fetch([url], target, md5=MD5)


def test_another_process_waits_and_finds_it_done(server: Server, target: Path) -> None:
    url = server.put("/f", Resource(BODY))
    target.parent.mkdir()
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    with locked(target.with_name(f"{target.name}.lock")):
        other = context.Process(target=_fetch_in_process, args=(url, target, ready))
        other.start()
        assert ready.wait(60)
        other.join(0.3)
        assert other.is_alive()
        assert server.requests == []
        target.write_bytes(BODY)
    other.join(60)
    assert other.exitcode == 0
    assert server.requests == []


def test_several_threads_download_once(server: Server, target: Path) -> None:
    url = server.put("/f", Resource(BODY))
    threads = [threading.Thread(target=fetch, args=([url], target)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(server.requests) == 1


def test_without_a_checksum_only_if_asked(server: Server, target: Path) -> None:
    url = server.put("/f", Resource(BODY))
    with pytest.raises(DownloadError, match=r"file\.bin has no checksum"):
        fetch_module.fetch([url], target, size=len(BODY))
    assert server.requests == []
    assert fetch([url], target).read_bytes() == BODY


class Redirects(requests.adapters.BaseAdapter):
    """What answers for https here: a redirect."""

    def __init__(self, location: str) -> None:
        super().__init__()
        self.location = location

    def send(self, request: Any, *_: Any, **__: Any) -> requests.Response:
        response = requests.Response()
        response.status_code, response.url, response.request = 302, request.url, request
        response.headers["Location"] = self.location
        response.raw = urllib3.HTTPResponse()
        return response

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("location", ["{}/f", "ftp://127.0.0.1/f", "file:///etc/passwd"])
def test_no_redirect_leads_from_https_to_anything_else(
    server: Server, target: Path, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    server.put("/f", Resource(BODY))

    class Session(transfer_module.SafeSession):
        def __init__(self) -> None:
            super().__init__()
            self.mount("https://", Redirects(location.format(server.url)))

    monkeypatch.setattr(fetch_module, "SafeSession", Session)
    with pytest.raises(DownloadError, match=r"leads from https to (http|ftp|file), where"):
        fetch(["https://example.org/f"], target, md5=MD5)
    assert server.requests == []


@pytest.mark.parametrize("drip", ["header", "body"])
def test_a_drip_ends(server: Server, target: Path, drip: str) -> None:
    drips = server.put("/drips", Resource(BODY, drip=drip))
    good = server.put("/good", Resource(BODY))
    start = time.monotonic()
    fetch([drips, good], target, md5=MD5, timeout=0.3)
    assert target.read_bytes() == BODY
    assert time.monotonic() - start < 20  # where 300,000 bytes, or 1,000, would drip for minutes


def test_a_line_that_is_cut_after_each_byte_ends(server: Server, target: Path) -> None:
    url = server.put("/f", Resource(BODY, breaks=[1] * 50))
    with pytest.raises(DownloadError, match="broke off"):
        fetch([url], target, md5=MD5)
    assert len(server.requests) == 3


@pytest.mark.parametrize("known", [{}, {"size": 200_000}])
def test_a_body_without_end_ends(
    server: Server, target: Path, monkeypatch: pytest.MonkeyPatch, known: dict[str, int]
) -> None:
    monkeypatch.setattr(transfer_module, "_MOST_BYTES", 200_000)
    url = server.put("/f", Resource(BODY[:10_000], length="", endless=True))
    with pytest.raises(DownloadError, match="sends more than the 200000 bytes that a file may"):
        fetch([url], target, **known)
    assert not target.exists()
    assert part_of(target).stat().st_size < 200_000 + 2 * transfer_module._CHUNK


def test_what_a_server_says_is_printed_without_control_characters(
    server: Server, target: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = server.put("/f", Resource(status=404, reason="No\x1b[2J\x9b\u00ad " + 500 * "x"))
    with pytest.raises(DownloadError, match=r"answers 404 No\?\[2J\?\? x+\)") as caught:
        fetch([url], target)
    assert str(caught.value).isprintable()
    assert str(caught.value).count("x") < 200
    assert all(record.getMessage().isprintable() for record in caplog.records)


@pytest.mark.parametrize("length", ["\u00b2", "9" * 5000, "-1", "1e3"])
def test_lengths_that_are_none(server: Server, target: Path, length: str) -> None:
    url = server.put("/f", Resource(BODY, length=length, breaks=[len(BODY)]))
    with suppress(DownloadError):  # whatever becomes of it, it ends as it should
        fetch([url], target, md5=MD5, retries=1)
        assert target.read_bytes() == BODY
