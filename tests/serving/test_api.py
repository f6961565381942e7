"""The API as it is described: names, types and shapes of all answers."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from deepspeech2.extras.serving import create_app
from deepspeech2.inference import Recognizer
from deepspeech2.settings import ServeSettings

FORM = {"Content-Type": "multipart/form-data; boundary=x"}
PART = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\nv\r\n'
FILE = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nv\r\n'


@pytest.fixture(scope="module")
def client(recognizer: Recognizer) -> Iterator[TestClient]:
    app = create_app(recognizer, ServeSettings(idle_seconds=0.5), model="toy")
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as opened:
        yield opened


@pytest.mark.parametrize(
    ("headers", "query", "name"),
    [
        ({}, "", "audio"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, "", "audio"),  # curl's
        ({"Content-Type": "audio/wav"}, "?name=../my%20talk.wav", "my talk"),
        ({"Content-Disposition": "attachment; filename*=UTF-8''t%C3%B6n.wav"}, "", "tön"),
    ],
)
def test_a_body_is_a_recording(
    client: TestClient, recording: Path, headers: dict[str, str], query: str, name: str
) -> None:
    content = recording.read_bytes()
    answer = client.post(f"/transcribe{query}", content=content, headers=headers)
    assert answer.status_code == 200
    formed = client.post("/transcribe", files={"file": ("a.wav", content)}).json()
    assert answer.json() == {**formed, "id": name}


@pytest.mark.parametrize(
    ("format", "kind"),
    [
        ("json", "application/json"),
        ("txt", "text/plain; charset=utf-8"),
        ("srt", "application/x-subrip"),
        ("vtt", "text/vtt; charset=utf-8"),
        ("tsv", "text/tab-separated-values; charset=utf-8"),
        ("ctm", "text/plain; charset=utf-8"),
        ("TextGrid", "text/plain; charset=utf-8"),
    ],
)
def test_media_types(client: TestClient, recording: Path, format: str, kind: str) -> None:
    query = {"format": format, "name": 'tön "1"\r\n\u202e.wav'}
    answer = client.post("/transcribe", content=recording.read_bytes(), params=query)
    assert answer.headers["content-type"] == kind
    if format != "json":
        assert answer.headers["content-disposition"] == (
            f'attachment; filename="t_n _1____.{format}";'
            f" filename*=UTF-8''t%C3%B6n%20_1____.{format}"
        )


def test_numbers_are_rounded(client: TestClient, recording: Path) -> None:
    said = client.post("/transcribe", content=recording.read_bytes()).text
    assert re.findall(r'"(?:start|end|duration)":\d+\.?\d*', said)
    assert not re.findall(r'"(?:start|end|duration)":\d+\.\d{4}', said)
    assert not re.findall(r'"confidence":\d\.\d{5}', said)


@pytest.mark.parametrize(
    ("asked", "status", "told"),
    [
        ({"url": "/nowhere"}, 404, "/openapi.json describes"),
        ({"method": "GET", "url": "/static/%00"}, 404, "/openapi.json describes"),
        ({"method": "DELETE", "url": "/health"}, 405, "answer to DELETE"),
        ({"method": "GET"}, 405, "answer to GET"),
        ({"headers": {"host": "elsewhere.example"}}, 400, "--name"),
        ({"headers": {"host": "["}}, 400, "--name"),
        ({"headers": {"origin": "http://[", "host": "localhost"}}, 403, "may not ask"),
        ({"headers": {"Content-Length": "9" * 5000}}, 413, "50 MB at most"),
        ({"headers": {"Content-Length": "many"}}, 400, "number of bytes"),
        ({"headers": {"Content-Encoding": "gzip"}}, 415, "packed"),
        ({"headers": {"Content-Type": "application/json"}}, 415, "application/json is no"),
        ({}, 422, "curl --data-binary"),
        ({"content": b"v", "params": {"format": "xml"}}, 422, "'TextGrid', but is 'xml'"),
        ({"content": b"v", "params": {"files": "perhaps"}}, 422, "files must be a valid boolean"),
        ({"content": b"v", "headers": {"Content-Type": "multipart/form-data"}}, 400, "boundary"),
        ({"content": b"v", "headers": FORM}, 400, "the form cannot be read"),
        ({"content": FILE * 2 + b"--x--", "headers": FORM}, 400, "Too many files"),
        ({"content": PART % b"a" * 10_000, "headers": FORM}, 400, "Too many fields"),
        ({"content": PART % (b"a" * 100_000), "headers": FORM}, 400, "the form cannot be read"),
        ({"content": PART % b"file" + b"--x--", "headers": FORM}, 422, "no file that is called"),
        ({"content": PART % b"audio" + b"--x--", "headers": FORM}, 422, "no file that is called"),
        ({"content": b"v", "params": {"name": "\x1b[2J"}}, 422, "\\u001b[2J is no audio"),
    ],
)
def test_all_that_goes_wrong_is_told_in_a_sentence(
    client: TestClient, asked: dict[str, Any], status: int, told: str
) -> None:
    answer = client.request(**{"method": "POST", "url": "/transcribe", **asked})
    assert answer.status_code == status
    assert list(answer.json()) == ["detail"]
    assert told in answer.json()["detail"]
    described = client.get("/openapi.json").json()["paths"]["/transcribe"]["post"]["responses"]
    if status != 404:
        schema = described[str(status)]["content"]["application/json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/Problem"}


def test_what_fails_is_told(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepspeech2.extras.serving.uploads.probe", lambda *args, **options: 1 // 0)
    answer = client.post("/transcribe", content=b"v")
    assert answer.status_code == 500
    assert answer.json() == {"detail": "the server failed: its log says why"}


def test_methods(client: TestClient) -> None:
    for path in ("/", "/health", "/metrics", "/openapi.json", "/static/page.js"):
        head = client.head(path)
        assert (head.status_code, head.content) == (200, b"")
        if path != "/metrics":  # which changes
            assert head.headers == client.get(path).headers
        options = client.options(path)
        assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
    assert client.options("/transcribe").headers["allow"] == "OPTIONS, POST"


def test_the_description_is_fit_for_generated_clients(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    content = described["paths"]["/transcribe"]["post"]["requestBody"]["content"]
    form = content["multipart/form-data"]["schema"]
    assert form["properties"]["file"]["format"] == "binary"
    assert content["application/octet-stream"]["schema"]["format"] == "binary"
    assert described["components"]["schemas"]["Problem"]["required"] == ["detail"]
    metrics = described["paths"]["/metrics"]["get"]["responses"]["200"]["content"]
    assert metrics == {"text/plain": {"schema": {"type": "string"}}}
    answered = described["paths"]["/transcribe"]["post"]["responses"]["200"]["content"]
    assert {"application/json", "text/vtt", "application/x-subrip"} <= set(answered)


def test_a_stream_that_drips_is_closed(client: TestClient) -> None:
    with client.websocket_connect("ws://localhost/stream") as socket:
        for _ in range(600):
            socket.send_bytes(b"\0\0")
            told = socket.receive_json()
            if told["type"] == "error":
                break
            time.sleep(0.1)
        assert told == {"type": "error", "error": "nothing was said for too long"}


def test_a_stream_by_another_name_is_refused(client: TestClient) -> None:
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("ws://localhost/stream", headers={"host": "evil.example"}),
    ):
        pass
