"""What the server answers: transcripts, spectrograms and problems."""

from __future__ import annotations

import base64
import re
from dataclasses import asdict
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import quote

import numpy as np
import torch
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from numpy.typing import NDArray
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from torch import Tensor

from deepspeech2.decoding import Word
from deepspeech2.escaping import one_line
from deepspeech2.transcripts import FORMATS, Transcript
from deepspeech2.transforms import FrontEnd
from deepspeech2.transforms.features import Spectrogram
from deepspeech2.transforms.streaming_front_end import StreamingFrontEnd

MEDIA_TYPES = {
    "txt": "text/plain; charset=utf-8",
    "srt": "application/x-subrip",
    "vtt": "text/vtt; charset=utf-8",
    "tsv": "text/tab-separated-values; charset=utf-8",
    "ctm": "text/plain; charset=utf-8",
    "TextGrid": "text/plain; charset=utf-8",
}
"""Of the formats that are files."""

EVERYWHERE = {
    400: "a request that is no HTTP, or asks for another server",
    405: "the path does not answer to this method",
    408: "the request came too slowly",
    413: "too large or too long",
    503: "the server is being ended",
}
"""Statuses that any path may answer with."""

_SECONDS, _SHARES = 3, 4  # decimals
_LONGEST_NAME, _LONGEST_VALUE = 100, 100  # characters
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f"*/:<>?\\|\u2028-\u202e\u2066-\u2069\ud800-\udfff]')
_DARK, _BRIGHT = -11.0, 5.0  # natural logarithms of the power shown as black and as white
_WIDEST = 36_000  # columns of a picture: six minutes are drawn frame by frame


class AnswerWord(BaseModel):
    """A word; seconds from the start, confidence from 0 to 1."""

    word: str
    start: float
    end: float
    confidence: float


class Columns(BaseModel):
    """A spectrogram: bytes in base64, column by column, each from low to high frequencies."""

    width: int
    height: int
    seconds_per_column: float
    data: str


class Answer(BaseModel):
    """A transcript; ``error`` says why a part of the recording could not be recognised."""

    id: str
    text: str
    confidence: float
    duration: float
    error: str | None = None
    words: list[AnswerWord]
    files: dict[str, str] | None = None
    spectrogram: Columns | None = None


class Health(BaseModel):
    """What is being served."""

    status: Literal["ok"]
    model: str
    decoder: str
    sample_rate: int
    streams: bool
    max_upload_mb: float
    max_seconds: float


class Problem(BaseModel):
    """What is wrong, in one sentence."""

    detail: str


def answer(transcript: Transcript, *, files: bool) -> dict[str, Any]:
    """A transcript as :class:`Answer` describes it; ``files``: with its other formats."""
    content: dict[str, Any] = {
        "id": transcript.id,
        "text": transcript.text,
        "confidence": round(transcript.confidence, _SHARES),
        "duration": round(transcript.duration, _SECONDS),
        "words": [rounded(word) for word in transcript.words],
    }
    if transcript.error is not None:
        content["error"] = transcript.error
    if files:
        content["files"] = {name: make(transcript) for name, make in FORMATS.items()}
    return content


def rounded(word: Word) -> dict[str, Any]:
    """A word as :class:`AnswerWord` describes it."""
    times = {"start": round(word.start, _SECONDS), "end": round(word.end, _SECONDS)}
    return {**asdict(word), **times, "confidence": round(word.confidence, _SHARES)}


class Picture:
    """A spectrogram that is drawn as the samples come."""

    def __init__(self, spectrogram: Spectrogram) -> None:
        self._stream = StreamingFrontEnd(FrontEnd(spectrogram))
        self._state = self._stream.start()
        self._seconds = spectrogram.seconds_per_frame

    def frames(self, samples: NDArray[np.float32], *, last: bool = False) -> Tensor:
        """Return the frames (T, F) that samples (S,) complete; ``last``: none will follow."""
        signal = torch.from_numpy(samples)
        self._state, frames = self._stream.step(self._state, signal, last=last)
        return frames.cpu()

    def columns(self, frames: Tensor) -> dict[str, Any]:
        """Return frames (T, F) as :class:`Columns` describes them."""
        together = max(1, -(-len(frames) // _WIDEST))
        whole = len(frames) // together * together
        means = frames[:whole].view(-1, together, frames.shape[1]).mean(1) if whole else frames
        shares = ((means - _DARK) / (_BRIGHT - _DARK)).clamp(0, 1)
        values = (255 * shares).round().numpy().astype(np.uint8)
        return {
            "width": len(values),
            "height": frames.shape[1],
            "seconds_per_column": round(self._seconds * together, 6),
            "data": base64.b64encode(values.tobytes()).decode("ascii"),
        }


def disposition(name: str, format: str) -> str:
    """The header that has a transcript saved beside its recording (RFC 6266).

    >>> disposition('a "talk"', "srt")
    'attachment; filename="a _talk_.srt"'
    """
    safe = f"{_UNSAFE.sub('_', name)[:_LONGEST_NAME]}.{format}"
    plain = re.sub(r"[^ -~]", "_", safe)
    extended = "" if plain == safe else f"; filename*=UTF-8''{quote(safe, safe='')}"
    return f'attachment; filename="{plain}"{extended}'


def problem_responses(statuses: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    """Statuses with their descriptions as a route's ``responses``."""
    return {code: {"model": Problem, "description": text} for code, text in statuses.items()}


def handle_errors(app: FastAPI) -> None:
    """Have an app answer every error as ``{"detail": sentence}``."""
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _failed)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status, headers, detail = error.status_code, dict(error.headers or {}), error.detail
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = {*headers.get("Allow", "").split(", "), "OPTIONS"}
        headers["Allow"] = ", ".join(sorted(allowed | ({"HEAD"} if "GET" in allowed else set())))
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=headers)
        detail = f"this path does not answer to {one_line(request.method)}"
    elif status == HTTPStatus.NOT_FOUND:
        detail = "there is nothing at this path: /openapi.json describes what there is"
    return JSONResponse({"detail": detail}, status, headers)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    rule = first["msg"].replace("Input should be", "must be").partition(", unable to")[0]
    value = repr(first["input"])[:_LONGEST_VALUE]
    return JSONResponse({"detail": one_line(f"{first['loc'][-1]} {rule}, but is {value}")}, 422)


async def _failed(request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": "the server failed: its log says why"}, 500)
