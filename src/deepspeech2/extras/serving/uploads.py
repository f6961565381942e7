"""The recording in a request: a file of a form, or the body itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import Message
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, cast

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from deepspeech2.escaping import one_line

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
"""The same for the description of the API."""


class GoneError(HTTPException):
    """The client is gone; nobody reads what is answered."""

    def __init__(self) -> None:
        super().__init__(400, "the client is gone")


@asynccontextmanager
async def received(request: Request, name: str) -> AsyncIterator[tuple[BinaryIO, str]]:
    """The recording that was sent, until the context ends, and its name.

    Args:
        name: that it has whatever its form or header says; empty for none.

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
        file = await (_of_form(request) if kind == _FORM else _of_body(request))
    except ClientDisconnect as error:
        raise GoneError from error
    try:
        yield file.file, Path(name or file.filename or "audio").name or "audio"
    finally:
        await file.close()


async def _of_form(request: Request) -> UploadFile:
    try:
        form = await request.form(max_files=1, max_fields=_FIELDS, max_part_size=_FIELD_BYTES)
    except HTTPException as error:
        if error.status_code != 400:
            raise
        raise HTTPException(400, f"the form cannot be read ({error.detail}): {_HOW}") from error
    file = form.get("file")
    if not isinstance(file, UploadFile):
        await form.close()
        raise HTTPException(422, f"the form holds no file that is called file: {_HOW}")
    return file


async def _of_body(request: Request) -> UploadFile:
    said = Message()
    said["Content-Disposition"] = request.headers.get("content-disposition", "attachment")
    spool = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115, closed with the context
    file = UploadFile(cast(BinaryIO, spool), size=0, filename=said.get_filename())
    try:
        async for part in request.stream():
            await file.write(part)
        if not file.size:
            raise HTTPException(422, f"the request holds nothing: {_HOW}")
        await file.seek(0)
    except BaseException:
        spool.close()
        raise
    return file
