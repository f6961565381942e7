"""Recordings that are transcribed while they are made, over WebSockets."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import soxr
from starlette.websockets import WebSocket, WebSocketDisconnect

from deepspeech2.errors import SpeechError
from deepspeech2.extras.serving.answers import Picture, answer, rounded
from deepspeech2.extras.serving.guard import Patience, same_origin
from deepspeech2.extras.serving.live import Samples, live
from deepspeech2.extras.serving.workers import ServerMetrics, Workers
from deepspeech2.inference import Recognizer
from deepspeech2.settings import ServeSettings
from deepspeech2.transcripts import Transcript

_RATES = (4000, 192000)  # Hz
_SHARE = 0.1  # of the time that must be sound, or the stream is taken for silent
_TRY_LATER, _TOO_BIG, _REFUSED = 1013, 1009, 1008  # RFC 6455, section 7.4.1


class Recording:
    """The recording of one client: samples of any rate in, words and spectrogram out."""

    def __init__(self, recognizer: Recognizer, rate: int) -> None:
        self._live = live(recognizer)
        self._picture = Picture(recognizer.pipeline.front_end.features)
        self._converter: Any = None
        if rate != recognizer.sample_rate:
            self._converter = soxr.ResampleStream(rate, recognizer.sample_rate, 1, dtype="float32")

    def add(self, data: bytes) -> dict[str, Any]:
        """Recognise more 16-bit samples, return the message about them."""
        samples: Samples = np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768)
        if self._converter is not None:
            samples = self._converter.resample_chunk(samples)
        self._live.add(samples)
        progress = self._live.progress()
        return {
            "type": "partial",
            "settled": progress.settled,
            "words": [rounded(word) for word in progress.words],
            "spectrogram": self._picture.columns(self._picture.frames(samples)),
        }

    def finish(self) -> Transcript:
        """Return the transcript of the whole recording."""
        if self._converter is not None:
            self._live.add(self._converter.resample_chunk(np.zeros(0, np.float32), last=True))
        return self._live.finish()


class Streams:
    """Serves a limited number of recordings at a time.

    A client sends binary messages of 16-bit little-endian samples of one channel and gets
    ``{"type": "partial", "settled", "words", "spectrogram"}`` after each: of the words that it
    had before, the first ``settled`` stay, and ``words`` follow them. It sends the text ``end``
    and gets ``{"type": "final", ...}`` with the formats of files. What goes wrong comes as
    ``{"type": "error", "error"}`` before the connection is closed.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        settings: ServeSettings,
        workers: Workers,
        metrics: ServerMetrics,
    ) -> None:
        self._recognizer = recognizer
        self._settings = settings
        self._workers = workers
        self._metrics = metrics
        self._open = 0

    async def run(self, socket: WebSocket, rate: int) -> None:
        """Serve one client to the end."""
        await socket.accept()
        if not same_origin(socket.headers):
            return await self._refuse(socket, "this page may not ask this server", _REFUSED)
        if not _RATES[0] <= rate <= _RATES[1]:
            problem = f"rate must be from {_RATES[0]} to {_RATES[1]} Hz, but is {rate}"
            return await self._refuse(socket, problem, _REFUSED)
        if self._open >= self._settings.streams:
            problem = f"{self._open} recordings are being made already: try again in a moment"
            return await self._refuse(socket, problem, _TRY_LATER)
        self._open += 1
        self._metrics.streams.set(self._open)
        outcome = "failed"
        try:
            outcome = await self._converse(socket, rate)
        except WebSocketDisconnect:
            outcome = "left"
        except SpeechError as error:
            outcome = "refused"
            await self._refuse(socket, str(error), _REFUSED)
        finally:
            self._open -= 1
            self._metrics.streams.set(self._open)
            self._metrics.requests.labels("stream", outcome).inc()

    async def _converse(self, socket: WebSocket, rate: int) -> str:
        recording = await self._workers.run(Recording, self._recognizer, rate, patient=True)
        seconds = self._settings.idle_seconds
        patience = Patience(seconds, _SHARE * seconds * rate)
        n_samples = 0
        odd = b""
        while True:
            try:
                message = await patience.wait(socket.receive)
            except TimeoutError:
                await self._refuse(socket, "nothing was said for too long", _REFUSED)
                return "refused"
            if message["type"] == "websocket.disconnect":
                return "left"
            if message.get("text") == "end":
                break
            data = odd + (message.get("bytes") or b"")
            whole = len(data) // 2 * 2
            odd, data = data[whole:], data[:whole]
            n_samples += len(data) // 2
            patience.got(len(data) // 2)
            if n_samples > self._settings.max_seconds * rate:
                problem = f"a recording may last {self._settings.max_seconds:g} s at most"
                await self._refuse(socket, problem, _TOO_BIG)
                return "refused"
            await self._send(socket, await self._workers.run(recording.add, data, patient=True))
        transcript = await self._workers.run(recording.finish, patient=True)
        self._metrics.audio.inc(n_samples / rate)
        await self._send(socket, {"type": "final", **answer(transcript, files=True)})
        await socket.close()
        return "answered"

    async def _send(self, socket: WebSocket, message: dict[str, Any]) -> None:
        try:
            await asyncio.wait_for(socket.send_json(message), self._settings.idle_seconds)
        except TimeoutError as error:  # the client does not read
            raise WebSocketDisconnect from error

    async def _refuse(self, socket: WebSocket, problem: str, code: int) -> None:
        try:
            await self._send(socket, {"type": "error", "error": problem})
            await socket.close(code)
        except (RuntimeError, WebSocketDisconnect):  # the client is gone
            return
