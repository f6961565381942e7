"""A report as one page that needs no server and nothing from elsewhere."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from src.errors import ConfigError
from src.metrics.alignment import align
from src.metrics.analysis import Row
from src.metrics.outputs import as_json
from src.metrics.reliability import reliability
from src.metrics.report import Report

_TEMPLATE = Path(__file__).parent / "page.html"
_FOLDER = Path(__file__).parents[2]
_ROWS, _COLUMNS = 48, 500  # of a spectrogram, at most
_WINDOW, _STEP = 0.025, 0.010  # seconds
_RANGE = 8.0  # natural logarithms of power below the loudest that are shown


def as_html(found: Report, title: str, *, n_audio: int = 20) -> str:
    """The whole page.

    Args:
        n_audio: so many of the worst utterances bring their recording and its spectrogram.
    """
    chosen = _with_audio(found.rows, n_audio)
    content = {
        "title": title,
        "summary": json.loads(as_json(found)),
        "rows": [_row(row, chosen.get(row.name)) for row in found.rows],
        "reliability": reliability(found.rows),
    }
    # "</script>" in a transcript must not end the script that holds it
    data = json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    return _TEMPLATE.read_text(encoding="utf-8").replace("/*DATA*/null", data)


def write_html(found: Report, file: str, title: str, n_audio: int) -> None:
    """Write the page to ``file``.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        Path(file).write_text(as_html(found, title, n_audio=n_audio), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--html {file} cannot be written: {error.strerror}") from error


def _with_audio(rows: Sequence[Row], count: int) -> dict[str, dict[str, Any]]:
    """Recordings of the worst utterances that have one, by name."""
    found: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: (-row.words.errors, row.name)):
        if len(found) >= count:
            break
        sound = _sound(row)
        if sound is not None:
            found[row.name] = sound
    return found


def _row(row: Row, sound: dict[str, Any] | None) -> dict[str, Any]:
    """What the page knows of an utterance."""
    nbest = row.fields.get("nbest")
    steps = align(row.reference.split(), row.hypothesis.split())
    given = {
        "id": row.name,
        "wer": round(row.words.rate, 4),
        "cer": round(row.characters.rate, 4),
        "errors": row.words.errors,
        "words": row.words.reference,
        "duration": row.fields.get("duration"),
        "speaker": row.fields.get("speaker"),
        "confidence": row.fields.get("confidence"),
        "steps": [[step.reference, step.hypothesis] for step in steps],
        "nbest": [[each.get("pred_text"), each.get("score")] for each in nbest or []],
        "sound": sound,
    }
    return {name: value for name, value in given.items() if value not in (None, [])}


def _sound(row: Row) -> dict[str, Any] | None:
    """The recording as Ogg Vorbis with its spectrogram, if there is one that can be read."""
    name = row.fields.get("audio_path") or row.fields.get("audio_filepath")
    if not isinstance(name, str):
        return None
    path = next((each for each in (Path(name), _FOLDER / name) if each.is_file()), None)
    if path is None:
        return None
    try:
        with soundfile.SoundFile(path) as file:
            offset, duration = row.fields.get("offset"), row.fields.get("duration")
            if isinstance(offset, int | float) and offset:
                file.seek(round(offset * file.samplerate))
            length = isinstance(duration, int | float) and round(duration * file.samplerate)
            samples = file.read(length or -1, dtype="float32", always_2d=True).mean(axis=1)
            rate = file.samplerate
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
    padded = np.pad(samples, (size // 2, size - size // 2))
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
