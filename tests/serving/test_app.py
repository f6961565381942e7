"""Routes, their bounds, and that nothing stays behind."""

from __future__ import annotations

import io
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import srt
import webvtt
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from deepspeech2.audio import ffmpeg
from deepspeech2.errors import ConfigError
from deepspeech2.extras.serving import create_app
from deepspeech2.inference import Recognizer
from deepspeech2.settings import ServeSettings
from tests.audio.recordings import KINDS, write

HOME = "http://localhost"
Make = Callable[..., TestClient]


@pytest.fixture
def make(recognizer: Recognizer) -> Iterator[Make]:
    """A client of a server with other settings than the usual ones."""
    opened: list[TestClient] = []

    def run(**settings: Any) -> TestClient:
        app: FastAPI = create_app(recognizer, ServeSettings(**settings), model="toy")
        opened.append(TestClient(app, base_url=HOME).__enter__())
        return opened[-1]

    yield run
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture
def client(make: Make) -> TestClient:
    return make()


def sound(seconds: float, rate: int = 16000) -> bytes:
    file = io.BytesIO()
    samples = 0.1 * np.random.default_rng(0).standard_normal(round(seconds * rate))
    soundfile.write(file, samples, rate, format="WAV")
    return file.getvalue()


def upload(client: TestClient, content: bytes, name: str = "a.wav", **query: Any) -> Any:
    return client.post("/transcribe", files={"file": (name, content)}, params=query)


def test_a_file_gives_its_transcript(
    client: TestClient, recording: Path, recognizer: Recognizer
) -> None:
    expected = recognizer.transcribe(recording)
    answer = upload(client, recording.read_bytes(), "talk one.wav", files=True, spectrogram=True)
    assert answer.status_code == 200
    content = answer.json()
    assert content["id"] == "talk one"
    assert content["text"] == expected.text
    starts = [round(word.start, 3) for word in expected.words]
    assert [word["start"] for word in content["words"]] == starts
    assert [each.content for each in srt.parse(content["files"]["srt"])]
    picture = content["spectrogram"]
    seconds = picture["width"] * picture["seconds_per_column"]
    assert seconds == pytest.approx(expected.duration, abs=0.05)
    assert "spectrogram" not in upload(client, recording.read_bytes()).json()["words"]


@pytest.mark.parametrize("format", ["txt", "srt", "vtt", "tsv", "ctm", "TextGrid"])
def test_other_formats_are_files(
    client: TestClient, recording: Path, recognizer: Recognizer, format: str
) -> None:
    answer = upload(client, recording.read_bytes(), format=format)
    assert answer.status_code == 200
    assert f'filename="a.{format}"' in answer.headers["content-disposition"]
    text = recognizer.transcribe(recording).text
    if format == "txt":
        assert answer.text == text + "\n"
    if format == "vtt":
        captions = webvtt.from_buffer(io.StringIO(answer.text))
        assert " ".join(each.text for each in captions).split() == text.split()


@pytest.mark.parametrize(
    ("content", "name", "status", "message"),
    [
        (b"nothing", "a.wav", 422, "a.wav is no audio"),
        (b"", "a.flac", 422, "a.flac is"),
        (b"nothing", "../../etc/x.wav", 422, "x.wav is no audio"),
        (b"0" * 2_100_000, "a.wav", 413, "2 MB at most"),
        (sound(6.0), "long.wav", 413, "long.wav lasts 6 s"),
        (sound(1.0), "a.wav\0.sh", 200, None),
        (b"12", "a.raw", 422, "a.raw"),
    ],
)
def test_what_cannot_be_heard_is_told_in_a_sentence(
    make: Make, content: bytes, name: str, status: int, message: str | None
) -> None:
    client = make(max_upload_mb=2, max_seconds=5)
    answer = upload(client, content, name)
    assert answer.status_code == status
    if message:
        assert message in answer.json()["detail"]
        assert tempfile.gettempdir() not in answer.json()["detail"]


def test_what_is_there_of_a_cut_upload_is_heard(
    client: TestClient, recording: Path, recognizer: Recognizer
) -> None:
    content = recording.read_bytes()
    content = content[: len(content) * 7 // 10]
    answer = upload(client, content, "cut.wav", spectrogram=True)
    assert answer.status_code == 200
    assert answer.json()["error"].startswith("cut.wav is cut off")
    assert answer.json()["text"]
    assert "error" not in upload(client, recording.read_bytes()).json()


def test_hours_of_packed_sound_cost_no_more_than_their_bound(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AAC of silence says nowhere how long it is: it is decoded to the bound and no further."""
    kind = next(kind for kind in KINDS if str(kind) == "aac.aac")
    path = write(tmp_path / "a.aac", kind, np.zeros((960_000, 1)), 16_000)
    decode, decoded = ffmpeg._decoded, [0]

    def counting(*arguments: Any) -> Iterator[Any]:
        for rate, samples in decode(*arguments):
            decoded[0] += len(samples)
            yield rate, samples

    monkeypatch.setattr(ffmpeg, "_decoded", counting)
    answer = upload(make(max_seconds=30), path.read_bytes() * 10, "a.aac")
    assert answer.status_code == 413
    assert 30 <= decoded[0] / 16_000 < 32


def test_silence_that_is_packed_well_is_refused(make: Make, tmp_path: Path) -> None:
    """Some kilobytes that would become 0.4 GB of samples."""
    path = tmp_path / "silence.flac"
    with soundfile.SoundFile(path, "w", 96_000, 8) as file:
        for _ in range(120):
            file.write(np.zeros((96_000, 8), np.int16))
    assert path.stat().st_size < 1e6
    answer = upload(make(max_seconds=121), path.read_bytes(), "silence.flac")
    assert answer.status_code == 413
    assert "120 s of 8 channels at 96000 Hz" in answer.json()["detail"]


def test_a_body_without_a_length_is_counted(make: Make) -> None:
    client = make(max_upload_mb=1)

    def body() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        for _ in range(30):
            yield b"0" * 100_000

    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    assert client.post("/transcribe", content=body(), headers=kind).status_code == 413
    kind["Content-Length"] = "many"
    assert client.post("/transcribe", content=b"", headers=kind).status_code == 400


def test_nothing_is_kept(
    client: TestClient, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert upload(client, recording.read_bytes()).status_code == 200
    assert upload(client, b"nothing").status_code == 422
    assert list(tmp_path.iterdir()) == []


def test_a_long_recording_does_not_hold_up_the_end(client: TestClient) -> None:
    client.app.state.stop()  # type: ignore[attr-defined]
    answer = upload(client, sound(60))
    assert answer.status_code == 503
    assert "is being ended" in answer.text


def test_what_is_too_much_is_refused_and_room_comes_back(
    make: Make, recording: Path, recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make(workers=1, queue=1)
    go, content = threading.Event(), recording.read_bytes()
    hear = recognizer.transcribe

    def slowly(*args: Any, **options: Any) -> Any:
        assert go.wait(20)
        return hear(*args, **options)

    monkeypatch.setattr(recognizer, "transcribe", slowly)
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(upload, client, content) for _ in range(2)]
        while "taken 2.0" not in client.get("/metrics").text:
            assert not any(each.done() for each in waiting)
        answer = upload(client, content)
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "1"
        assert "2 recordings are waiting" in answer.json()["detail"]
        go.set()
        assert [each.result().status_code for each in waiting] == [200, 200]
    assert upload(client, content).status_code == 200
    counters = client.get("/metrics").text
    assert 'requests_total{kind="file",outcome="answered"} 3.0' in counters
    assert 'requests_total{kind="file",outcome="refused"} 1.0' in counters
    assert "recordings_taken 0.0" in counters


def samples(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="int16")[0]


@pytest.mark.parametrize("chunk", [333, 1600, 100_000])
def test_a_stream_ends_with_the_transcript_of_the_whole(
    client: TestClient, recording: Path, recognizer: Recognizer, chunk: int
) -> None:
    data = samples(recording).tobytes()
    width = 0
    with client.websocket_connect("ws://localhost/stream?rate=16000") as socket:
        for first in range(0, len(data), chunk):  # odd chunks cut samples in two
            socket.send_bytes(data[first : first + chunk])
            message = socket.receive_json()
            assert message["type"] == "partial"
            width += message["spectrogram"]["width"]
            assert message["settled"] == 0  # too short for anything to be settled
        socket.send_text("end")
        final = socket.receive_json()
    whole = recognizer.transcribe(recording)
    assert final["type"] == "final"
    assert final["text"] == whole.text
    assert [each.content for each in srt.parse(final["files"]["srt"])]
    assert width == pytest.approx(whole.duration / 0.01, rel=0.3)


def test_a_stream_of_another_rate(
    client: TestClient, recording: Path, recognizer: Recognizer
) -> None:
    thrice = np.repeat(samples(recording), 3)
    with client.websocket_connect("ws://localhost/stream?rate=48000") as socket:
        socket.send_bytes(thrice.tobytes())
        socket.receive_json()
        socket.send_text("end")
        final = socket.receive_json()
    assert final["duration"] == pytest.approx(soundfile.info(recording).duration, abs=0.01)
    assert final["text"]


@pytest.mark.parametrize(
    ("query", "headers", "sent", "message"),
    [
        ("?rate=1", {}, None, "rate must be from 4000"),
        ("", {"origin": "http://elsewhere.example"}, None, "may not ask"),
        ("", {}, b"\0\0" * 40_000, "2 s at most"),
        ("", {}, "end", "at least one"),
        ("", {}, None, "nothing was said for too long"),
    ],
)
def test_streams_that_are_refused(
    make: Make, query: str, headers: dict[str, str], sent: bytes | str | None, message: str
) -> None:
    client = make(max_seconds=2, idle_seconds=0.3)
    with client.websocket_connect(f"ws://localhost/stream{query}", headers=headers) as socket:
        if isinstance(sent, bytes):
            socket.send_bytes(sent)
        elif sent is not None:
            socket.send_text(sent)
        told = socket.receive_json()
        assert told["type"] == "error"
        assert message in told["error"]
        with pytest.raises(WebSocketDisconnect):
            socket.receive_json()


def test_one_stream_more_than_there_may_be(make: Make) -> None:
    client = make(streams=1)
    with client.websocket_connect("ws://localhost/stream") as first:
        first.send_bytes(b"\0\0" * 100)
        assert first.receive_json()["type"] == "partial"
        with client.websocket_connect("ws://localhost/stream") as second:
            assert "1 recordings are being made" in second.receive_json()["error"]
    with client.websocket_connect(
        "ws://localhost/stream"
    ) as third:  # the first one left without a word
        third.send_bytes(b"\0\0" * 100)
        assert third.receive_json()["type"] == "partial"


def test_the_server_says_what_it_is(client: TestClient) -> None:
    health = client.get("/health").json()
    assert (health["status"], health["model"], health["decoder"]) == ("ok", "toy", "Argmax")
    assert health["streams"] is False
    described = client.get("/openapi.json").json()["paths"]
    assert set(described) == {"/transcribe", "/health", "/metrics"}
    assert {"413", "422", "429"} <= set(described["/transcribe"]["post"]["responses"])
    page = client.get("/")
    assert "<title>DeepSpeech2</title>" in page.text
    assert "default-src 'self'" in page.headers["content-security-policy"]
    for name in ("page.js", "spectrogram.js", "wave.js", "page.css", "recorder.js"):
        assert client.get(f"/static/{name}").status_code == 200


def test_pages_of_others_get_no_answer(client: TestClient) -> None:
    assert client.get("/health", headers={"host": "evil.example"}).status_code == 400
    for origin, status in (("http://evil.example", 403), (HOME, 200)):
        files = {"file": ("a.wav", sound(0.5))}
        answer = client.post("/transcribe", files=files, headers={"origin": origin})
        assert answer.status_code == status


@pytest.mark.parametrize("field", ["workers", "streams", "max_upload_mb", "max_seconds"])
def test_bounds_must_be_positive(field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        ServeSettings(**{field: 0})
