"""Clients that keep the server waiting, over real sockets."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from deepspeech2.extras.serving import Server, create_app, server
from deepspeech2.extras.serving.uploads import GoneError
from deepspeech2.inference import Recognizer
from deepspeech2.settings import ServeSettings

PATIENCE = 60.0  # seconds that a test waits for what must come soon
POST = b"POST /transcribe HTTP/1.1\r\nHost: localhost\r\nContent-Type: audio/wav\r\n"


class Place:
    """A running server, and the sockets that a test opened to it."""

    def __init__(self, port: int, opened: ExitStack) -> None:
        self.url = f"http://localhost:{port}"
        self._port, self._opened = port, opened

    def connect(self, sent: bytes = b"", *, buffer: int | None = None) -> socket.socket:
        client = self._opened.enter_context(socket.socket())
        if buffer is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        client.settimeout(PATIENCE)
        client.connect(("127.0.0.1", self._port))
        client.sendall(sent)
        return client


Start = Callable[..., Place]


@pytest.fixture
def start(recognizer: Recognizer) -> Iterator[Start]:
    """Start a server that waits for half a second."""
    with ExitStack() as opened:

        def run(**settings: Any) -> Place:
            bounds = ServeSettings(**{"wait_seconds": 0.5, **settings})
            app = create_app(recognizer, bounds, model="toy")
            listening = socket.create_server(("127.0.0.1", 0))
            config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=5)
            running = Server(config, app.state.stop, bounds)
            thread = threading.Thread(target=running.run, args=([listening],))
            thread.start()
            opened.callback(thread.join)
            opened.callback(setattr, running, "should_exit", True)
            return Place(listening.getsockname()[1], opened)

        yield run


def dripped(client: socket.socket, drop: bytes = b"x") -> bytes:
    """What the server answers to drops, until it closes the connection."""
    client.settimeout(0.05)
    answer, end = b"", time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            client.sendall(drop)
            part = client.recv(65536)
        except TimeoutError:
            continue
        except OSError:
            return answer
        if not part:
            return answer
        answer += part
    raise AssertionError("the connection stays open")


def closed(client: socket.socket) -> bool:
    """Whether the server ends the connection without a word."""
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True


def lost(client: socket.socket) -> bool:
    """Whether the server ends the connection; nothing of it is read meanwhile."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            client.sendall(b"x")
        except ConnectionError:
            return True
        time.sleep(0.05)
    return False


def test_a_body_that_drips_is_refused(start: Start) -> None:
    answer = dripped(start().connect(POST + b"Content-Length: 100000\r\n\r\n"))
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'{"detail":"the request came too slowly: send 10 kB a second' in answer


@pytest.mark.parametrize("sent", [b"", b"GET /health HT", b"GET /health HTTP/1.1\r\nHost: l"])
def test_a_request_that_does_not_come_is_not_waited_for(start: Start, sent: bytes) -> None:
    place = start()
    assert closed(place.connect(sent))
    assert dripped(place.connect(sent or b"G")) == b""
    asked = place.connect(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert asked.recv(65536).startswith(b"HTTP/1.1 200")
    dripped(asked, b"G")  # the second request


def test_what_is_refused_is_not_read_for_ever(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_DRAIN_SECONDS", 0.5)
    answer = dripped(start().connect(POST + b"Content-Length: 900000000\r\n\r\n"))
    assert answer.startswith(b"HTTP/1.1 413")


def test_answers_that_are_not_read_are_not_kept(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SLOWEST", 1e9)
    place = start()
    asked = b"GET /static/page.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2000
    client = place.connect(asked, buffer=4096)
    assert lost(client)


def test_of_too_many_connections_the_idle_ones_end(start: Start, recording: Path) -> None:
    place = start(connections=8, wait_seconds=PATIENCE)
    early = place.connect(POST + b"Content-Length: 100\r\n\r\n")
    httpx.get(f"{place.url}/health", timeout=PATIENCE)  # after which the header is read
    idle = [place.connect() for _ in range(30)]
    with recording.open("rb") as file:
        answer = httpx.post(f"{place.url}/transcribe", files={"file": file}, timeout=PATIENCE)
    assert answer.status_code == 200
    assert all(closed(each) for each in idle[:20])
    early.sendall(bytes(100))  # who sends a request comes before who sends none
    assert early.recv(65536).startswith(b"HTTP/1.1 422")


def test_who_goes_away_leaves_no_work_behind(
    start: Start, recording: Path, recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hear, begun, ended = recognizer.transcribe, threading.Event(), threading.Event()

    def endlessly(*args: Any, on_progress: Callable[[float], None], **options: Any) -> Any:
        begun.set()
        try:
            for _ in range(round(PATIENCE / 0.01)):
                on_progress(0.0)
                time.sleep(0.01)
        except GoneError:
            ended.set()
            raise

    monkeypatch.setattr(recognizer, "transcribe", endlessly)
    place, content = start(workers=1, queue=1), recording.read_bytes()
    whole = POST + f"Content-Length: {len(content)}\r\n\r\n".encode() + content
    first = place.connect(whole)
    assert begun.wait(PATIENCE)
    second = place.connect(whole)  # which waits for its turn
    while "taken 2.0" not in httpx.get(f"{place.url}/metrics").text:
        pass
    second.close()
    while "taken 1.0" not in httpx.get(f"{place.url}/metrics").text:
        pass
    first.close()
    assert ended.wait(PATIENCE)
    monkeypatch.setattr(recognizer, "transcribe", hear)
    upload = {"file": ("a.wav", io.BytesIO(content))}
    answer = httpx.post(f"{place.url}/transcribe", files=upload, timeout=PATIENCE)
    assert answer.status_code == 200
    told = httpx.get(f"{place.url}/metrics").text
    assert 'requests_total{kind="file",outcome="left"} 2.0' in told


def test_what_is_no_http_is_told(start: Start) -> None:
    answer = dripped(start().connect(b"nothing\r\n\r\n"), b"")
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.endswith(b'{"detail":"the request is no HTTP/1.1, or its header is too long"}')
