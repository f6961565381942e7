"""What the server answers."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any, Literal
from urllib.parse import quote

from pydantic import BaseModel

from deepspeech2.decoding import Word
from deepspeech2.transcripts import FORMATS, Transcript

MEDIA_TYPES = {
    "txt": "text/plain; charset=utf-8",
    "srt": "application/x-subrip",
    "vtt": "text/vtt; charset=utf-8",
    "tsv": "text/tab-separated-values; charset=utf-8",
    "ctm": "text/plain; charset=utf-8",
    "TextGrid": "text/plain; charset=utf-8",
}
"""Of the formats that are files."""

_OF_SECONDS, _OF_SHARES = 3, 4  # decimals
_LONGEST_NAME = 100  # characters
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f"*/:<>?\\|\u2028-\u202e\u2066-\u2069\ud800-\udfff]')


class HeardWord(BaseModel):
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


class Heard(BaseModel):
    """A transcript; ``error`` says why a part of the recording could not be heard."""

    id: str
    text: str
    confidence: float
    duration: float
    error: str | None = None
    words: list[HeardWord]
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


def answer(transcript: Transcript, *, files: bool) -> dict[str, Any]:
    """A transcript as :class:`Heard` describes it; ``files``: with its other formats."""
    found: dict[str, Any] = {
        "id": transcript.id,
        "text": transcript.text,
        "confidence": round(transcript.confidence, _OF_SHARES),
        "duration": round(transcript.duration, _OF_SECONDS),
        "words": [rounded(word) for word in transcript.words],
    }
    if transcript.error is not None:
        found["error"] = transcript.error
    if files:
        found["files"] = {name: make(transcript) for name, make in FORMATS.items()}
    return found


def rounded(word: Word) -> dict[str, Any]:
    """A word as :class:`HeardWord` describes it."""
    told = asdict(word)
    for name in ("start", "end"):
        told[name] = round(told[name], _OF_SECONDS)
    return {**told, "confidence": round(word.confidence, _OF_SHARES)}


def disposition(name: str, format: str) -> str:
    """The header that has a transcript saved beside its recording (RFC 6266).

    >>> disposition('a "talk"', "srt")
    'attachment; filename="a _talk_.srt"'
    """
    safe = f"{_UNSAFE.sub('_', name)[:_LONGEST_NAME]}.{format}"
    plain = re.sub(r"[^ -~]", "_", safe)
    extended = "" if plain == safe else f"; filename*=UTF-8''{quote(safe, safe='')}"
    return f'attachment; filename="{plain}"{extended}'
