"""What the server answers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from pydantic import BaseModel

from src.transcripts import FORMATS, Transcript


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
        "confidence": transcript.confidence,
        "duration": transcript.duration,
        "words": [asdict(word) for word in transcript.words],
    }
    if transcript.error is not None:
        found["error"] = transcript.error
    if files:
        found["files"] = {name: make(transcript) for name, make in FORMATS.items()}
    return found
