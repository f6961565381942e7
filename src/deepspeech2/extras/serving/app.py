"""Routes of the server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from fastapi import FastAPI, Query, Request, WebSocket
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from deepspeech2.extras.serving.answers import (
    EVERYWHERE,
    MEDIA_TYPES,
    Answer,
    Health,
    answer,
    disposition,
    handle_errors,
    problem_responses,
)
from deepspeech2.extras.serving.guard import BodyLimit, Guard
from deepspeech2.extras.serving.live import StreamLive, live
from deepspeech2.extras.serving.streams import Streams
from deepspeech2.extras.serving.uploads import (
    REQUEST_BODY,
    GoneError,
    UploadTranscriber,
    received,
)
from deepspeech2.extras.serving.workers import CONTENT_TYPE, BusyError, ServerMetrics, Workers
from deepspeech2.inference import Recognizer
from deepspeech2.settings import ServeSettings
from deepspeech2.transcripts import FORMATS

_PAGE = Path(__file__).parent / "page"
_REFUSALS = {
    403: "the page of another server asks",
    415: "the body is no recording, or is packed",
    422: "no sound that can be read, or a value that is none of the possible ones",
    429: "too many recordings wait: try again",
}
_TEXT = {"schema": {"type": "string"}}
Kind = Literal["json", "txt", "srt", "vtt", "tsv", "ctm", "TextGrid"]
Result = TypeVar("Result")


def create_app(recognizer: Recognizer, settings: ServeSettings, *, model: str) -> FastAPI:
    """Create the server's routes around one model.

    Args:
        model: its name.
    """
    workers = Workers(settings.workers, settings.queue)
    metrics = ServerMetrics(lambda: workers.taken)
    transcriber = UploadTranscriber(recognizer, settings, metrics)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            transcriber.stop()
            workers.close()

    app = FastAPI(
        title="DeepSpeech2",
        summary="Transcribes recordings. Nothing of them is kept.",
        lifespan=lifespan,
        responses=problem_responses(EVERYWHERE),
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.stop = transcriber.stop
    app.add_middleware(BodyLimit, max_bytes=settings.max_bytes, seconds=settings.wait_seconds)
    app.add_middleware(Guard, hosts=settings.hosts)
    handle_errors(app)
    app.mount("/static", StaticFiles(directory=_PAGE), name="static")
    _add_status(app, recognizer, settings, metrics, model)
    _add_transcribe(app, transcriber, workers, metrics)
    streams = Streams(recognizer, settings, workers, metrics)

    @app.websocket("/stream")
    async def stream(socket: WebSocket, rate: int = 16000) -> None:
        await streams.run(socket, rate)

    return app


def _add_status(
    app: FastAPI,
    recognizer: Recognizer,
    settings: ServeSettings,
    metrics: ServerMetrics,
    model: str,
) -> None:
    """Add the page, and the routes that describe the server."""

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

    @app.get(
        "/metrics", response_class=Response, responses={200: {"content": {"text/plain": _TEXT}}}
    )
    async def counters() -> Response:
        """What was asked and answered, for Prometheus."""
        return Response(metrics.text(), media_type=CONTENT_TYPE)


def _add_transcribe(
    app: FastAPI, transcriber: UploadTranscriber, workers: Workers, metrics: ServerMetrics
) -> None:
    """Add the route that takes recordings."""
    texts = {kind.partition(";")[0]: _TEXT for kind in MEDIA_TYPES.values()}

    @app.post(
        "/transcribe",
        response_model=Answer,
        responses={200: {"content": texts}, **problem_responses(_REFUSALS)},
        openapi_extra={"requestBody": REQUEST_BODY},
    )
    async def transcribe(
        request: Request,
        format: Annotated[Kind, Query(description="json, or a file")] = "json",
        files: Annotated[bool, Query(description="all formats within the JSON")] = False,
        spectrogram: Annotated[bool, Query(description="a picture within the JSON")] = False,
        name: Annotated[str, Query(description="what the recording is called")] = "",
    ) -> Response:
        """What is said in a recording, which is a file of a form or the body itself."""
        drawn = spectrogram and format == "json"
        outcome = "failed"
        try:
            async with received(request, name) as (file, name):
                left = threading.Event()
                work = workers.run(lambda: transcriber.transcribe(file, name, left, drawn=drawn))
                transcript, picture = await _while_connected(request, left, work)
            outcome = "answered"
        except BusyError as error:
            outcome = "refused"
            raise HTTPException(429, str(error), {"Retry-After": "1"}) from error
        except GoneError:
            outcome = "left"
            raise
        except HTTPException:
            outcome = "refused"
            raise
        finally:
            metrics.requests.labels("file", outcome).inc()
        transcript = replace(transcript, id=Path(name).stem or "audio", audio=name)
        if format == "json":
            return JSONResponse(answer(transcript, files=files) | {"spectrogram": picture})
        headers = {"Content-Disposition": disposition(transcript.id, format)}
        text = FORMATS[format](transcript)
        return Response(text, media_type=MEDIA_TYPES[format], headers=headers)


async def _while_connected(
    request: Request, left: threading.Event, work: Coroutine[Any, Any, Result]
) -> Result:
    """Return the result of the work; ``left`` is set if the client disconnects before.

    Raises:
        GoneError: it did.
    """

    async def disconnected() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(disconnected())
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise GoneError
        return working.result()
    finally:
        left.set()
        working.cancel()  # what waits for its turn leaves the queue
        leaving.cancel()
