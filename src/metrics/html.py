"""A report as one page that needs no server and nothing from elsewhere."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from src.errors import ConfigError
from src.escaping import visible
from src.files import write_whole
from src.metrics.alignment import align
from src.metrics.analysis import Row, number
from src.metrics.outputs import as_json
from src.metrics.report import Report
from src.paths import ROOT

_TEMPLATE = Path(__file__).parent / "page.html"
_ROWS, _COLUMNS = 48, 500  # of a spectrogram, at most
_WINDOW, _STEP = 0.025, 0.010  # seconds
_RANGE = 10.0  # natural logarithms of power below the loudest that are shown
_EMPHASIS = 0.97  # of what is subtracted of the sample before: speech is weak at high frequencies


@dataclass(frozen=True, slots=True)
class Heard:
    """Which recordings a page brings.

    Attributes:
        count: of the worst utterances, where no ``names`` are given.
        names: of utterances.
        folders: from which relative paths of recordings may count.
    """

    count: int = 20
    names: Sequence[str] = ()
    folders: Sequence[Path] = (Path(), ROOT)


def as_html(found: Report, title: str, heard: Heard | None = None) -> str:
    """The whole page.

    Raises:
        ConfigError: an utterance that shall be heard is not there.
    """
    chosen = _with_audio(found.rows, heard or Heard())
    content = {
        "title": title,
        "summary": json.loads(as_json(found)),
        "rows": [_row(row, chosen.get(row.name)) for row in found.rows],
        "reliability": found.reliability,
    }
    data = json.dumps(_shown(content), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # neither "</script>" nor "<!--" in a transcript may mean anything to the page that holds it
    data = data.replace("<", "\\u003c")
    return _TEMPLATE.read_text(encoding="utf-8").replace("/*DATA*/null", data)


def _shown(content: Any) -> Any:
    """``content`` whose texts show control characters, and what turns the direction of a line."""
    if isinstance(content, dict):
        return {_shown(key): _shown(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_shown(each) for each in content]
    return visible(content) if isinstance(content, str) else content


def write_html(found: Report, file: str, title: str, heard: Heard | None = None) -> None:
    """Write the page to ``file``.

    Raises:
        ConfigError: it cannot be written, or :func:`as_html`'s.
    """
    page = as_html(found, title, heard)
    try:
        write_whole(Path(file), page)
    except OSError as error:
        raise ConfigError(f"--html {file} cannot be written: {error.strerror}") from error


def _with_audio(rows: Sequence[Row], heard: Heard) -> dict[str, dict[str, Any]]:
    """Recordings, where there are any, of the utterances that were named or else of the worst."""
    order = sorted(rows, key=lambda row: (-row.words.errors, row.name))
    if heard.names:
        unknown = set(heard.names).difference(row.name for row in rows)
        if unknown:
            raise ConfigError(f"--audio names no utterance: {', '.join(sorted(unknown))}")
        order = [row for row in order if row.name in heard.names]
    sounds = ((row.name, _sound(row, heard.folders)) for row in order)
    existing = ((name, sound) for name, sound in sounds if sound is not None)
    return dict(islice(existing, None if heard.names else heard.count))


def _row(row: Row, sound: dict[str, Any] | None) -> dict[str, Any]:
    """What the page knows of an utterance."""
    steps = align(row.reference.split(), row.hypothesis.split())
    speaker = row.fields.get("speaker")
    given = {
        "id": row.name,
        "wer": round(row.words.rate, 4),
        "cer": round(row.characters.rate, 4),
        "errors": row.words.errors,
        "words": row.words.reference,
        "duration": number(row.fields.get("duration")),
        "speaker": None if speaker is None else str(speaker),
        "confidence": number(row.fields.get("confidence")),
        "steps": [[step.reference, step.hypothesis] for step in steps],
        "nbest": _nbest(row.fields.get("nbest")),
        "sound": sound,
    }
    return {name: value for name, value in given.items() if value not in (None, "", [])}


def _nbest(given: object) -> list[list[Any]]:
    """(text, score) of each, as our own predictions have them; those of others are not known."""
    items = [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []
    return [[str(each.get("pred_text") or ""), number(each.get("score"))] for each in items]


def _sound(row: Row, folders: Sequence[Path]) -> dict[str, Any] | None:
    """The recording as Ogg Vorbis with its spectrogram, if there is one that can be read."""
    name = row.fields.get("audio_path") or row.fields.get("audio_filepath")
    if not isinstance(name, str):
        return None
    path = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if path is None:
        return None
    offset, duration = number(row.fields.get("offset")), number(row.fields.get("duration"))
    try:
        with soundfile.SoundFile(path) as file:
            rate = file.samplerate
            if offset:
                file.seek(round(offset * rate))
            length = round(duration * rate) if duration else -1
            samples = file.read(length, dtype="float32", always_2d=True).mean(axis=1)
        if not len(samples) or not np.isfinite(samples).all():
            return None
        encoded = io.BytesIO()
        soundfile.write(
            encoded, samples, rate, format="OGG", subtype="VORBIS", compression_level=0.8
        )
    except (soundfile.SoundFileError, OSError, ValueError):
        return None
    return {
        "audio": base64.b64encode(encoded.getvalue()).decode("ascii"),
        **spectrogram(samples, rate),
    }


def spectrogram(samples: np.ndarray[Any, Any], rate: int) -> dict[str, Any]:
    """Log power of (S,) samples in bytes, column by column, low frequencies first."""
    size, step = max(2, round(_WINDOW * rate)), max(1, round(_STEP * rate))
    emphasised = np.append(samples[:1], samples[1:] - _EMPHASIS * samples[:-1])
    padded = np.pad(emphasised, (size // 2, size - size // 2))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::step] * np.hanning(size)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    together = -(-len(power) // _COLUMNS)
    places = np.linspace(1, power.shape[1], min(_ROWS, power.shape[1] - 1) + 1).astype(int)
    pooled = np.add.reduceat(power, places[:-1], axis=1)
    pooled = np.add.reduceat(pooled, np.arange(0, len(pooled), together), axis=0)
    levels = np.log(pooled + 1e-10)
    values = 255 * np.clip(1 + (levels - levels.max()) / _RANGE, 0, 1)
    return {
        "width": len(values),
        "height": values.shape[1],
        "picture": base64.b64encode(values.astype(np.uint8).tobytes()).decode("ascii"),
    }
