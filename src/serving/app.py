"""Routes of the server."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

from fastapi import FastAPI, File, HTTPException, Query, Request, UploadFile, WebSocket
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.middleware.trustedhost import TrustedHostMiddleware

from src.audio.blocks import blocks
from src.audio.reading import AUDIO_SUFFIXES, probe
from src.errors import AudioError
from src.inference import Recognizer
from src.serving.answers import Health, Heard, answer
from src.serving.limits import BodyLimit, same_origin
from src.serving.live import StreamLive, live
from src.serving.metrics import CONTENT_TYPE, ServerMetrics
from src.serving.picture import picture
from src.serving.streams import Streams
from src.serving.workers import BusyError, Workers
from src.settings import ServeSettings
from src.transcripts import FORMATS, Transcript

_PAGE = Path(__file__).parent / "page"
_POLICY = "default-src 'self'; connect-src 'self' ws: wss:; media-src 'self' blob:; img-src 'self'"
_DENSEST = 2 * 96_000  # samples a second: silence is packed so well that bytes bound nothing
Kind = Literal["json", "txt", "srt", "vtt", "tsv", "ctm", "TextGrid"]


class Desk:
    """Takes uploaded recordings; of each nothing is left when it is answered."""

    def __init__(
        self, recognizer: Recognizer, settings: ServeSettings, metrics: ServerMetrics
    ) -> None:
        self._recognizer = recognizer
        self._settings = settings
        self._metrics = metrics
        self._stopped = False

    def stop(self) -> None:
        """End what is being transcribed, at its next piece."""
        self._stopped = True

    def _go_on(self, seconds: float) -> None:
        if self._stopped:
            raise HTTPException(503, "the server is being ended")

    def transcribe(self, file: BinaryIO, name: str, *, drawn: bool) -> tuple[Transcript, Any]:
        """The transcript, and its spectrogram if that is wanted.

        Raises:
            HTTPException: 413 for what is too long, 422 for what is no sound.
        """
        suffix = Path(name).suffix.lower()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"audio{suffix if suffix in AUDIO_SUFFIXES else ''}"
            with path.open("wb") as copy:
                while part := file.read(1 << 20):
                    copy.write(part)
            try:
                return self._heard(path, name, drawn)
            except AudioError as error:
                raise HTTPException(422, str(error).replace(str(path), name)) from error

    def _heard(self, path: Path, name: str, drawn: bool) -> tuple[Transcript, Any]:
        info = probe(path, partial=True, most=self._settings.max_seconds)
        seconds, longest = info.duration, self._settings.max_seconds
        if seconds > longest:
            raise HTTPException(
                413, f"{name} lasts {seconds:.0f} s, and a recording may last {longest:g} s at most"
            )
        if seconds * info.sample_rate * info.channels > longest * _DENSEST:
            raise HTTPException(
                413,
                f"{name} holds {seconds:.0f} s of {info.channels} channels at {info.sample_rate}"
                " Hz, which is more than a recording may hold",
            )
        start = time.perf_counter()
        heard = self._recognizer.transcribe(path, heard=self._go_on)
        self._metrics.took.observe(time.perf_counter() - start)
        self._metrics.audio.inc(seconds)
        rate = self._recognizer.sample_rate
        spectrogram = self._recognizer.pipeline.front_end.features
        there = blocks(path, sample_rate=rate, duration=seconds)
        if heard.error is not None:
            heard = replace(heard, error=heard.error.replace(str(path), name))
        return heard, picture(spectrogram, there) if drawn else None


def create_app(recognizer: Recognizer, settings: ServeSettings, *, model: str) -> FastAPI:
    """The server's routes around one model.

    Args:
        model: what it is called.
    """
    workers = Workers(settings.workers, settings.queue)
    metrics = ServerMetrics(lambda: workers.taken)
    desk = Desk(recognizer, settings, metrics)
    streams = Streams(recognizer, settings, workers, metrics)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            desk.stop()
            workers.close()

    app = FastAPI(
        title="DeepSpeech2",
        summary="Transcribes recordings. Nothing of them is kept.",
        lifespan=lifespan,
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
    )
    app.state.stop = desk.stop
    app.add_middleware(BodyLimit, max_bytes=settings.max_bytes)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(settings.hosts))
    app.mount("/static", StaticFiles(directory=_PAGE), name="static")
    _about(app, recognizer, settings, metrics, model)

    _uploads(app, desk, workers, metrics)

    @app.websocket("/stream")
    async def stream(socket: WebSocket, rate: int = 16000) -> None:
        await streams.run(socket, rate)

    return app


def _uploads(app: FastAPI, desk: Desk, workers: Workers, metrics: ServerMetrics) -> None:
    """The route that takes recordings."""

    @app.post(
        "/transcribe",
        responses={
            200: {"model": Heard, "content": {"text/plain": {}}},
            413: {"description": "too large or too long"},
            422: {"description": "no sound that can be read"},
            429: {"description": "too many recordings wait: try again"},
        },
    )
    async def transcribe(
        file: Annotated[UploadFile, File(description="any format that libsndfile reads")],
        format: Annotated[Kind, Query(description="json, or a file")] = "json",
        files: Annotated[bool, Query(description="all formats within the JSON")] = False,
        spectrogram: Annotated[bool, Query(description="a picture within the JSON")] = False,
    ) -> Response:
        """What is said in a recording."""
        name = Path(file.filename or "audio").name
        drawn = spectrogram and format == "json"
        outcome = "failed"
        try:
            transcript, image = await workers.run(
                lambda: desk.transcribe(file.file, name, drawn=drawn)
            )
            outcome = "answered"
        except BusyError as error:
            outcome = "refused"
            raise HTTPException(429, str(error), {"Retry-After": "1"}) from error
        except HTTPException:
            outcome = "refused"
            raise
        finally:
            metrics.requests.labels("file", outcome).inc()
        transcript = _named(transcript, name)
        if format != "json":
            return _download(transcript, format)
        return JSONResponse(answer(transcript, files=files) | {"spectrogram": image})


def _about(
    app: FastAPI,
    recognizer: Recognizer,
    settings: ServeSettings,
    metrics: ServerMetrics,
    model: str,
) -> None:
    """Routes that say something of the server."""

    @app.middleware("http")
    async def guarded(request: Request, go_on: Callable[..., Any]) -> Response:
        if request.method == "POST" and not same_origin(dict(request.headers)):
            return JSONResponse({"detail": "this page may not ask this server"}, 403)
        response: Response = await go_on(request)
        response.headers["Content-Security-Policy"] = _POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "no-store"
        return response

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(_PAGE / "index.html")

    @app.get("/health")
    async def health() -> Health:
        """Whether the server lives, and what it serves."""
        return Health(
            status="ok",
            model=model,
            decoder=recognizer.decoder.name,
            sample_rate=recognizer.sample_rate,
            streams=isinstance(live(recognizer), StreamLive),
            max_upload_mb=settings.max_upload_mb,
            max_seconds=settings.max_seconds,
        )

    @app.get("/metrics")
    async def counters() -> Response:
        """What was asked and answered, for Prometheus."""
        return Response(metrics.text(), media_type=CONTENT_TYPE)


def _named(transcript: Transcript, name: str) -> Transcript:
    return replace(transcript, id=Path(name).stem or "audio", audio=name)


def _download(transcript: Transcript, format: str) -> PlainTextResponse:
    disposition = f'attachment; filename="transcript.{format}"'
    return PlainTextResponse(
        FORMATS[format](transcript), headers={"Content-Disposition": disposition}
    )
