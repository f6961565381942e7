"""Routes of the desk: its page, its sound, and what is changed on it."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import soundfile
import torch
from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.exceptions import HTTPException

from deepspeech2.audio.blocks import blocks
from deepspeech2.audio.reading import probe, read_audio
from deepspeech2.audio.silence import Levels
from deepspeech2.errors import AudioError, SpeechError, sentence
from deepspeech2.extras.labelling.desk import STEP, Asked, Desk, pauses
from deepspeech2.extras.labelling.labels import Labels
from deepspeech2.extras.serving.answers import Picture, handle_errors
from deepspeech2.extras.serving.guard import BodyLimit, Guard
from deepspeech2.inference import Recognizer
from deepspeech2.settings import ServeSettings

_PAGE = Path(__file__).parent / "page"
_SHARED = Path(__file__).parents[1] / "serving" / "page"
_PLAYED = (".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".webm")  # by every browser
_AROUND = 1.0  # seconds before and after an utterance that are shown
_LONGEST = 120.0  # seconds that are drawn


class Undo(BaseModel):
    """Which revision to take back; None: the last of ``who``. ``revision``: of the undoing."""

    model_config = ConfigDict(extra="forbid")

    who: str
    revision: str
    undoes: str | None = None


def create_app(desk: Desk, recognizer: Recognizer, settings: ServeSettings, who: str) -> FastAPI:
    """Create the desk's routes.

    Args:
        who: makes the changes, unless a page names somebody else.
    """
    app = FastAPI(title="DeepSpeech2 labels", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(BodyLimit, max_bytes=settings.max_bytes, seconds=settings.wait_seconds)
    app.add_middleware(Guard, hosts=settings.hosts)
    handle_errors(app)
    app.mount("/static", StaticFiles(directory=_PAGE), name="static")
    app.mount("/shared", StaticFiles(directory=_SHARED), name="shared")
    place = str(desk.journal.path.resolve()).encode()
    folder = hashlib.blake2b(place, digest_size=8).hexdigest()
    sound, lock = Sound(), threading.Lock()

    def answer(found: Labels, name: str | None = None) -> dict[str, Any]:
        rows = {"rows": desk.rows(found)} if name is None else {"row": desk.row(name, found)}
        return rows | {"count": _count(found), "folder": folder, "who": who}

    @app.get("/")
    def page() -> FileResponse:
        return FileResponse(_PAGE / "index.html")

    @app.get("/labels")
    def labels(count: int = -1) -> dict[str, Any]:
        """All utterances; without them if there are still ``count`` changes."""
        with lock, _refusing():
            found = desk.journal.read()
            return {"count": count} if _count(found) == count else answer(found)

    @app.get("/utterance")
    def utterance(name: str) -> dict[str, Any]:
        """What was heard in an utterance, and its picture."""
        with lock, _refusing():
            row = desk.row(name, desk.journal.read())
        return {"row": row} | _seen(desk, recognizer, row)

    @app.get("/audio")
    def audio(path: str, wave: bool = False) -> FileResponse:
        """A recording, in ranges if asked; ``wave``: in a format that any browser plays."""
        file = desk.files.get(path)
        if file is None or not file.is_file():
            raise HTTPException(422, "there is no such recording")
        if wave or file.suffix.lower() not in _PLAYED:
            with _refusing():
                file = sound.wave(file, recognizer.sample_rate)
        return FileResponse(file)

    @app.post("/change")
    def change(asked: Asked) -> dict[str, Any]:
        """Save a change; when it is answered, the disk has it."""
        with lock, _refusing():
            done, found = desk.add(asked)
            return {"done": done} | answer(found, None if asked.also else asked.utterance)

    @app.post("/undo")
    def undo(asked: Undo) -> dict[str, Any]:
        """Take back a change; ``utterance`` is its first, None where there is nothing to undo."""
        with lock, _refusing():
            name, found = desk.undo(asked.who, asked.undoes, asked.revision)
            return {"utterance": name, "done": asked.revision in found.changes} | answer(found)

    return app


def _count(labels: Labels) -> int:
    return len(labels.changes) + sum(map(len, labels.conflicts.values()))


@contextmanager
def _refusing() -> Iterator[None]:
    """Within, what a user can mend becomes an answer: 507 where the system refuses to write, for
    which the page keeps a change and tries again."""
    try:
        yield
    except ValidationError as error:
        raise HTTPException(422, error.errors()[0]["msg"]) from error
    except SpeechError as error:
        raise HTTPException(422, sentence(error)) from error
    except OSError as error:
        raise HTTPException(507, sentence(error)) from error


def _seen(desk: Desk, recognizer: Recognizer, row: dict[str, Any]) -> dict[str, Any]:
    """Words, choices, pauses and the picture of an utterance with a second around it."""
    item = desk.item(row["utterance"])
    heard, path = item.heard, item.utterance.audio
    whole = row["utterance"] == item.name
    texts = [item.given, heard.text, *heard.nbest] if whole else []
    found: dict[str, Any] = {
        "nbest": list(dict.fromkeys(text for text in texts if text))[:9],
        "words": [word.model_dump() for word in heard.words],
    }
    try:
        duration = probe(path, partial=True).duration
        start = max(0.0, row["start"] - _AROUND)
        end = min(duration, row["end"] + _AROUND, start + _LONGEST)
        rate = recognizer.sample_rate
        samples = read_audio(path, sample_rate=rate, offset=start, duration=end - start).numpy()
    except (AudioError, OSError) as error:
        return found | {"error": sentence(error), "pauses": [], "first": row["start"]}
    levels = Levels(rate, round(STEP * rate))
    levels.add(samples)
    picture = Picture(recognizer.pipeline.front_end.features)
    frames = [picture.frames(samples), picture.frames(samples[:0], last=True)]
    return found | {
        "duration": duration,
        "first": start,
        "last": end,
        "pauses": [(start + a, start + b) for a, b in pauses(levels.decibels())],
        "picture": picture.columns(torch.cat(frames)),
    }


class Sound:
    """Recordings that browsers do not play, as WAV files for as long as the desk is open."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="deepspeech2-")

    def wave(self, path: Path, rate: int) -> Path:
        """Return the WAV file of a recording.

        Raises:
            AudioError: the recording cannot be read.
        """
        name = hashlib.blake2b(str(path).encode("utf-8", "surrogateescape"), digest_size=12)
        target = Path(self._folder.name) / f"{name.hexdigest()}.wav"
        if not target.exists():
            part = target.with_suffix(f".{tempfile.gettempprefix()}")
            with soundfile.SoundFile(part, "w", rate, 1, "PCM_16", format="WAV") as file:
                for block in blocks(path, sample_rate=rate):
                    file.write(block)
            part.replace(target)
        return target
