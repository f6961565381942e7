"""Uploaded recordings: how they are received, and how they are transcribed."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from email.message import Message
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import torch
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from deepspeech2.audio.blocks import blocks
from deepspeech2.audio.ffmpeg import DENSEST
from deepspeech2.audio.reading import AUDIO_SUFFIXES, probe
from deepspeech2.errors import AudioError
from deepspeech2.escaping import one_line
from deepspeech2.extras.serving.answers import Picture
from deepspeech2.extras.serving.workers import ServerMetrics
from deepspeech2.inference import Recognizer
from deepspeech2.settings import ServeSettings
from deepspeech2.transcripts import Transcript

_HOW = "send a recording as curl -F file=@talk.wav or curl --data-binary @talk.wav does"
_FORM = "multipart/form-data"
_BYTES = "application/octet-stream"
_KINDS = ("", _BYTES, "application/ogg", "application/x-www-form-urlencoded")  # the last is curl's
_FIELDS, _FIELD_BYTES = 16, 1 << 16  # of a form, besides its file
_IN_MEMORY = 1 << 20  # bytes

_FILE = {"type": "string", "format": "binary", "description": "a recording of any usual format"}
_FORM_SCHEMA = {"type": "object", "required": ["file"], "properties": {"file": _FILE}}
REQUEST_BODY: dict[str, Any] = {
    "required": True,
    "content": {_FORM: {"schema": _FORM_SCHEMA}, _BYTES: {"schema": _FILE}},
}
"""The recording in a request, for the description of the API."""


class GoneError(HTTPException):
    """The client is gone; nobody reads what is answered."""

    def __init__(self) -> None:
        super().__init__(400, "the client is gone")


@asynccontextmanager
async def received(request: Request, name: str) -> AsyncIterator[tuple[BinaryIO, str]]:
    """Receive the recording of a request; yields its file, which is closed in the end, and name.

    Args:
        name: of the recording, whatever its form or header says; empty to leave it to them.

    Raises:
        HTTPException: 400 for a form that cannot be read, 415 for what is no recording, 422 where
            there is none.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HTTPException(415, "a packed body is not read: send the recording as it is")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _FORM and kind not in _KINDS and not kind.startswith(("audio/", "video/")):
        raise HTTPException(415, f"{one_line(kind)} is no recording: {_HOW}")
    try:
        file = await (_from_form(request) if kind == _FORM else _from_body(request))
    except ClientDisconnect as error:
        raise GoneError from error
    try:
        yield file.file, Path(name or file.filename or "audio").name or "audio"
    finally:
        await file.close()


async def _from_form(request: Request) -> UploadFile:
    try:
        form = await request.form(max_files=1, max_fields=_FIELDS, max_part_size=_FIELD_BYTES)
    except HTTPException as error:
        if error.status_code != 400:
            raise
        raise HTTPException(400, f"the form cannot be read ({error.detail}): {_HOW}") from error
    file = form.get("file")
    if not isinstance(file, UploadFile):
        await form.close()
        raise HTTPException(422, f"the form contains no file that is called file: {_HOW}")
    return file


async def _from_body(request: Request) -> UploadFile:
    header = Message()
    header["Content-Disposition"] = request.headers.get("content-disposition", "attachment")
    spool = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115, closed with the context
    file = UploadFile(cast(BinaryIO, spool), size=0, filename=header.get_filename())
    try:
        async for part in request.stream():
            await file.write(part)
        if not file.size:
            raise HTTPException(422, f"the request contains nothing: {_HOW}")
        await file.seek(0)
    except BaseException:
        spool.close()
        raise
    return file


class UploadTranscriber:
    """Transcribes uploaded recordings; nothing of them is left after the answer."""

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

    def transcribe(
        self, file: BinaryIO, name: str, left: threading.Event, *, drawn: bool
    ) -> tuple[Transcript, dict[str, Any] | None]:
        """Return the transcript, and its spectrogram if that is ``drawn``.

        Args:
            left: set once nobody waits for the answer; the work then ends at its next piece.

        Raises:
            HTTPException: 413 for what is too long, 422 for what is no sound.
        """

        def check_wanted(seconds: float) -> None:
            if left.is_set():
                raise GoneError
            if self._stopped:
                raise HTTPException(503, "the server is being ended")

        suffix = Path(name).suffix.lower()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"audio{suffix if suffix in AUDIO_SUFFIXES else ''}"
            with path.open("wb") as copy:
                while part := file.read(1 << 20):
                    check_wanted(0.0)
                    copy.write(part)
            try:
                return self._transcribe(path, one_line(name), check_wanted, drawn)
            except AudioError as error:
                problem = str(error).replace(str(path), one_line(name))
                raise HTTPException(422, problem) from error

    def _transcribe(
        self, path: Path, name: str, check_wanted: Callable[[float], None], drawn: bool
    ) -> tuple[Transcript, dict[str, Any] | None]:
        # refuse what would take too long or too much memory before any of it is decoded
        info = probe(path, partial=True, most=self._settings.max_seconds)
        seconds, longest = info.duration, self._settings.max_seconds
        if seconds > longest:
            raise HTTPException(
                413, f"{name} lasts {seconds:.0f} s, and a recording may last {longest:g} s at most"
            )
        if seconds * info.sample_rate * info.channels > longest * DENSEST:
            raise HTTPException(
                413,
                f"{name} contains {seconds:.0f} s of {info.channels} channels at {info.sample_rate}"
                " Hz, which is more than a recording may contain",
            )
        start = time.perf_counter()
        transcript = self._recognizer.transcribe(path, on_progress=check_wanted)
        self._metrics.took.observe(time.perf_counter() - start)
        self._metrics.audio.inc(seconds)
        if transcript.error is not None:
            transcript = replace(transcript, error=transcript.error.replace(str(path), name))
        return transcript, self._picture(path, seconds) if drawn else None

    def _picture(self, path: Path, seconds: float) -> dict[str, Any]:
        picture = Picture(self._recognizer.pipeline.front_end.features)
        parts = blocks(path, sample_rate=self._recognizer.sample_rate, duration=seconds)
        frames = [picture.frames(part) for part in parts]
        frames.append(picture.frames(np.zeros(0, np.float32), last=True))
        return picture.columns(torch.cat(frames))
