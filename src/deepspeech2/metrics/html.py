"""A report as one page that needs no server and nothing from elsewhere.

Recordings are in it as Ogg Vorbis, which every browser plays, with their spectrograms.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from deepspeech2.audio.blocks import blocks
from deepspeech2.audio.source import opened
from deepspeech2.errors import AudioError, ConfigError
from deepspeech2.escaping import visible
from deepspeech2.files import write_whole
from deepspeech2.metrics.analysis import Row, number
from deepspeech2.metrics.edits import align, align_both
from deepspeech2.metrics.outputs import as_json, origin_line
from deepspeech2.metrics.report import Report
from deepspeech2.paths import ROOT

Samples = NDArray[np.float32]

_TEMPLATE = Path(__file__).parent / "page.html"
_RATE = 16000  # Hz at most, as the networks; the page is half as large as with 32000
_AT_ONCE = 2**16  # samples: libsndfile's Vorbis writer puts on the stack what it is given at once
_ROWS, _COLUMNS = 48, 500  # of a spectrogram, at most
_WINDOW, _STEP = 0.025, 0.010  # seconds
_RANGE = 10.0  # natural logarithms of power below the loudest that are shown
_EMPHASIS = 0.97  # of what is subtracted of the sample before: speech is weak at high frequencies


@dataclass(frozen=True, slots=True)
class Recordings:
    """Which recordings a page includes.

    Attributes:
        count: of the worst utterances, where no ``names`` are given.
        names: of utterances.
        folders: from which relative paths of recordings may count.
    """

    count: int = 20
    names: Sequence[str] = ()
    folders: Sequence[Path] = (Path(), ROOT)


def as_html(
    found: Report, title: str, recordings: Recordings | None = None, other: str = ""
) -> str:
    """Return the whole page.

    Args:
        other: the name of the predictions that were compared with.

    Raises:
        ConfigError: ``recordings`` names an utterance that does not exist.
    """
    chosen = _with_audio(found.rows, recordings or Recordings())
    content = {
        "title": title,
        "summary": json.loads(as_json(found)),
        "rows": [
            _row(row, chosen.get(row.name), found.other_rows.get(row.name)) for row in found.rows
        ],
        "reliability": found.reliability,
    }
    content["systems"] = [f"predictions {line}"] if (line := origin_line(found.origin)) else []
    if found.comparison is not None and found.other_origin is not None:
        content["systems"] = [
            ", ".join(filter(None, (f"{letter}: {name}", origin_line(origin))))
            for letter, name, origin in (
                ("A", title, found.origin),
                ("B", other, found.other_origin),
            )
        ]
        content["p"] = found.comparison.test.shown
    data = json.dumps(_shown(content), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # neither "</script>" nor "<!--" in a transcript may mean anything to the page
    data = data.replace("<", "\\u003c")
    return _TEMPLATE.read_text(encoding="utf-8").replace("/*DATA*/null", data)


def _shown(content: Any) -> Any:
    """Escape control characters, and those that turn the direction of a line, in all texts."""
    if isinstance(content, dict):
        return {_shown(key): _shown(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_shown(each) for each in content]
    return visible(content) if isinstance(content, str) else content


def write_html(
    found: Report, file: str, title: str, recordings: Recordings | None = None, other: str = ""
) -> None:
    """Write the page to ``file``; see :func:`as_html`.

    Raises:
        ConfigError: it cannot be written, or :func:`as_html`'s.
    """
    page = as_html(found, title, recordings, other)
    try:
        write_whole(Path(file), page)
    except OSError as error:
        raise ConfigError(f"--html {file} cannot be written: {error.strerror}") from error


def _with_audio(rows: Sequence[Row], wanted: Recordings) -> dict[str, dict[str, Any]]:
    """Recordings, as far as they exist, of the utterances that were named or else of the worst."""
    order = sorted(rows, key=lambda row: (-row.words.errors, row.name))
    if wanted.names:
        names = set(wanted.names)
        unknown = names.difference(row.name for row in rows)
        if unknown:
            raise ConfigError(f"--audio names no utterance: {', '.join(sorted(unknown))}")
        order = [row for row in order if row.name in names]
    sounds = ((row.name, sound(row, wanted.folders)) for row in order)
    existing = ((name, each) for name, each in sounds if each is not None)
    return dict(islice(existing, None if wanted.names else wanted.count))


def _row(row: Row, sound: dict[str, Any] | None, other: Row | None) -> dict[str, Any]:
    """The data of an utterance, with the other system's transcript."""
    reference, hypothesis = row.reference.split(), row.hypothesis.split()
    steps: list[Any] = [[step.reference, step.hypothesis] for step in align(reference, hypothesis)]
    if other is not None:
        steps = align_both(reference, hypothesis, other.hypothesis.split())
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
        "steps": steps,
        "nbest": _nbest(row.fields.get("nbest")),
        "sound": sound,
        "other_wer": None if other is None else round(other.words.rate, 4),
        "other_errors": None if other is None else other.words.errors,
    }
    return {name: value for name, value in given.items() if value not in (None, "", [])}


def _nbest(given: object) -> list[list[Any]]:
    """(text, score) of each, as our own predictions have them."""
    items = [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []
    return [[str(each.get("pred_text") or ""), number(each.get("score"))] for each in items]


def sound(row: Row, folders: Sequence[Path]) -> dict[str, Any] | None:
    """Return the sound of an utterance as Ogg Vorbis, with its spectrogram, or None if absent.

    Of a recording whose ``channel`` is given only that one.

    Args:
        folders: from which a relative path of the recording may count.
    """
    name = row.fields.get("audio_path")
    if not isinstance(name, str):
        return None
    path = next((folder / name for folder in folders if (folder / name).is_file()), None)
    rate = None if path is None else _rate(path)
    if path is None or rate is None:
        return None
    fields = {key: number(row.fields.get(key)) for key in ("offset", "duration", "channel")}
    channel = int(fields["channel"] or 0)
    pieces: list[Samples] = []
    with suppress(AudioError, ConfigError, OSError):  # what precedes the fault is played
        for piece in blocks(
            path,
            sample_rate=rate,
            offset=fields["offset"] or 0.0,
            duration=fields["duration"] or None,
            channel=channel if channel > 0 else None,
        ):
            pieces.append(piece)
    if not pieces:
        return None
    samples = np.concatenate(pieces)
    audio = base64.b64encode(_vorbis(samples, rate)).decode("ascii")
    return {"audio": audio, **spectrogram(samples, rate)}


@lru_cache(maxsize=4096)
def _rate(path: Path) -> int | None:
    """The rate of a recording in the page, in Hz; None if nothing of it can be read."""
    try:
        with opened(path) as source:
            return min(_RATE, int(source.file.samplerate))
    except (AudioError, OSError):
        return None


def _vorbis(samples: Samples, rate: int) -> bytes:
    """Samples (S,) as Ogg Vorbis."""
    encoded = io.BytesIO()
    with soundfile.SoundFile(
        encoded, "w", rate, 1, format="OGG", subtype="VORBIS", compression_level=0.8
    ) as file:
        for start in range(0, len(samples), _AT_ONCE):
            file.write(samples[start : start + _AT_ONCE])
    return encoded.getvalue()


def spectrogram(samples: Samples, rate: int) -> dict[str, Any]:
    """Return the log power of (S,) samples in bytes, by columns, low frequencies first."""
    size, step = max(2, round(_WINDOW * rate)), max(1, round(_STEP * rate))
    emphasised = np.append(samples[:1], samples[1:] - np.float32(_EMPHASIS) * samples[:-1])
    padded = np.pad(emphasised, (size // 2, size - size // 2))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::step]
    together = -(-len(frames) // _COLUMNS)
    pooled = np.array(list(_columns(frames, together)))
    levels = np.log(pooled + 1e-10)
    values = 255 * np.clip(1 + (levels - levels.max()) / _RANGE, 0, 1)
    return {
        "width": len(values),
        "height": values.shape[1],
        "picture": base64.b64encode(values.astype(np.uint8).tobytes()).decode("ascii"),
    }


def _columns(frames: Samples, together: int) -> Iterator[NDArray[np.float64]]:
    """Power (F,) of ``together`` frames each: hours of sound need no more memory than these."""
    size = frames.shape[1]
    n_bins = size // 2 + 1
    places = np.linspace(1, n_bins, min(_ROWS, n_bins - 1) + 1).astype(int)[:-1]
    for start in range(0, len(frames), together):
        power = np.abs(np.fft.rfft(frames[start : start + together] * np.hanning(size))) ** 2
        yield np.add.reduceat(power, places, axis=1).sum(axis=0)
