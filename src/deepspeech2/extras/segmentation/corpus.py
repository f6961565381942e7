"""Write the segments of recordings as a corpus that LibriSpeech's and manifests' readers take."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from torch import Tensor

from deepspeech2.audio.reading import FULL_SCALE
from deepspeech2.audio.silence import Levels, Span
from deepspeech2.decoding import Word
from deepspeech2.decoding.decoder import text_of
from deepspeech2.decoding.kernels.frames import BLANK
from deepspeech2.decoding.loose import LEFT_OUT, LooseAlignment, align_loosely
from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.extras.segmentation.cutting import Cutter, Limits, Segment
from deepspeech2.extras.segmentation.page import PAGE, render
from deepspeech2.extras.segmentation.text import Script, read_text, script
from deepspeech2.files import whole_folder, write_whole
from deepspeech2.inference import Recognizer
from deepspeech2.inference.audio_input import AudioInput
from deepspeech2.inference.long import no_progress, windows
from deepspeech2.metrics.edits import character_edits
from deepspeech2.transcripts import Transcript, srt

TOLERANCE = 5.0  # seconds by which a word may be said before or after its subtitle
MANIFEST, SEGMENTS = "manifest.jsonl", "segments.jsonl"
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Talk:
    """A recording and its text; ``name`` is that of its folder, below ``speaker``'s."""

    audio: Path
    text: Path
    name: str
    speaker: str

    @property
    def folder(self) -> str:
        return f"{self.speaker}/{self.name}"


@dataclass(frozen=True, slots=True)
class Found:
    """What became of a talk.

    Attributes:
        seconds: of audio.
        rows: of its segments.
        unreadable: words that cannot be aligned.
        unsearched: first and last second, and the number of words, of each stretch without any
            agreement that was too long to be searched.
        misfit: whether the times of subtitles do not fit, and so were not used.
        fault: why a part of the recording could not be read.
    """

    seconds: float
    rows: list[Row]
    unreadable: tuple[str, ...]
    unsearched: tuple[tuple[float, float, int], ...]
    misfit: bool
    fault: str | None


def segment(
    talk: Talk,
    output: Path,
    recognizer: Recognizer,
    limits: Limits,
    *,
    spell_out: str | None = None,
    transliterate: bool = False,
    on_progress: Callable[[float], None] = no_progress,
) -> Found:
    """Write what can be trusted of a talk to its folder below ``output``, which appears when whole.

    It contains ``<name>-<number>.flac``, ``<name>.trans.txt``, ``<name>.srt`` with all words that
    were found, and ``<name>.segments.jsonl`` with all segments, kept or not.

    Raises:
        AudioError: the recording cannot be read, or it is long and agrees with the text nowhere.
        ManifestError: the text cannot be read, or has no word.
    """
    text, shown = read_text(talk.text)
    words = script(
        text, recognizer.text_encoder, spell_out, transliterate=transliterate, shown=shown
    )
    if not words.words:
        raise ManifestError(f"{talk.text} must contain at least one word of the alphabet")
    source = AudioInput(talk.audio, None, recognizer.sample_rate)
    log_probs, levels = recognizer.long_emissions(source.blocks, on_progress=on_progress)
    division = divide(log_probs, levels, words, recognizer, limits)
    rows = []
    spans = []
    for number, (part, heard) in enumerate(division.parts):
        span = Span(part.start * levels.step, min(part.end * levels.step, levels.n_samples))
        row = _row(talk, f"{talk.name}-{number:05d}", part, words, heard)
        row["start"], row["duration"] = (
            round(samples / levels.sample_rate, 4)
            for samples in (span.start, span.end - span.start)
        )
        rows.append(row)
        spans.append(span)
    alignment, seconds_per_frame = division.alignment, recognizer.seconds_per_frame
    subtitles = _subtitles(alignment, words, seconds_per_frame, source.seconds, talk)
    with whole_folder(output / talk.folder) as folder:
        _write(folder, talk.name, rows, spans, source, recognizer.sample_rate)
        write_whole(folder / f"{talk.name}.srt", srt(subtitles))
    unsearched = tuple(
        (part.start * seconds_per_frame, part.end * seconds_per_frame, part.last - part.first)
        for part in alignment.unsearched
    )
    misfit = shown is not None and not alignment.bounded
    return Found(source.seconds, rows, words.unreadable, unsearched, misfit, source.fault)


@dataclass(frozen=True, slots=True)
class Division:
    """Where the words of a text are said, and the segments with what is heard in each."""

    alignment: LooseAlignment
    parts: list[tuple[Segment, str]]


def divide(
    log_probs: Tensor, levels: Levels, words: Script, recognizer: Recognizer, limits: Limits
) -> Division:
    """Align a recording with its text, and cut it.

    Args:
        log_probs: (T, V) of the recording; ``levels`` of the same.

    Raises:
        AudioError: see :func:`~deepspeech2.decoding.loose.align_loosely`.
    """
    encoder, seconds_per_frame = recognizer.text_encoder, recognizer.seconds_per_frame
    alignment = align_loosely(
        log_probs,
        " ".join(words.words),
        encoder,
        shown=None if words.shown is None else words.shown / seconds_per_frame,
        tolerance=TOLERANCE / seconds_per_frame,
    )
    best = log_probs.argmax(dim=1).numpy()
    silent = (best == BLANK) | (best == encoder.space)
    cutter = Cutter(alignment, silent, levels.decibels(), words.breaks, seconds_per_frame, limits)
    parts = []
    for part in cutter.segments():
        heard = text_of(
            [label for label, _ in groupby(best[part.start : part.end].tolist()) if label], encoder
        )
        cer = character_edits(" ".join(words.words[part.first : part.last]), heard).rate
        why = part.why or ("error rate" if cer > limits.cer else "")
        parts.append((replace(part, cer=cer, why=why), heard))
    return Division(alignment, parts)


def _row(talk: Talk, name: str, part: Segment, words: Script, heard: str) -> Row:
    return {
        "id": name,
        "audio_filepath": None if part.why else f"{talk.folder}/{name}.flac",
        "start": 0.0,
        "duration": 0.0,
        "text": words.text(part.first, part.last),
        "written": words.written(part.first, part.last),
        "heard": heard,
        "kept": not part.why,
        "why": part.why,
        "score": round(part.score, 4),
        "worst_word": round(part.worst, 4),
        "unwritten": round(part.unwritten, 4),
        "left_out": part.left_out,
        "cer": round(part.cer, 4),
        "speaker": talk.speaker,
        "recording": talk.audio.name,
    }


def _write(
    folder: Path,
    name: str,
    rows: Sequence[Row],
    spans: Sequence[Span],
    source: AudioInput,
    sample_rate: int,
) -> None:
    kept = [(row, span) for row, span in zip(rows, spans, strict=True) if row["kept"]]
    # the recording is read once more, and never more of it than a segment
    pieces = windows(source.blocks(), [span for _, span in kept], 1, 0)
    for (row, _), piece in zip(kept, pieces, strict=True):
        samples = np.rint(piece.waveform.numpy() * np.float32(FULL_SCALE))
        pcm = samples.clip(-FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
        flac = io.BytesIO()  # libsndfile's own errors do not tell that a disk is full
        soundfile.write(flac, pcm, sample_rate, format="FLAC")
        write_whole(folder / f"{row['id']}.flac", flac.getvalue(), durable=False)
    if kept:
        lines = "".join(f"{row['id']} {row['text']}\n" for row, _ in kept)
        write_whole(folder / f"{name}.trans.txt", lines)
    write_whole(folder / f"{name}.{SEGMENTS}", _lines(rows))


def _subtitles(
    alignment: LooseAlignment,
    script: Script,
    seconds_per_frame: float,
    duration: float,
    talk: Talk,
) -> Transcript:
    said = np.flatnonzero(alignment.start != LEFT_OUT).tolist()
    words = tuple(
        Word(
            script.texts[number],
            max(0.0, float(alignment.start[number]) - 0.5) * seconds_per_frame,
            min(duration, float(alignment.end[number]) * seconds_per_frame),
            math.exp(-max(0.0, float(alignment.cost[number]))),
        )
        for number in said
        if script.texts[number]
    )
    text = " ".join(word.word for word in words)
    return Transcript(text, words, 0.0, duration, talk.name, str(talk.audio))


def collect(output: Path) -> list[Row]:
    """Write manifest, list and page of all segments of the talks below ``output``; return these."""
    rows = [row for path in _lists(output) for row in _read(path)]
    write_whole(output / SEGMENTS, _lines(rows))
    keys = ("id", "audio_filepath", "duration", "text", "written", "speaker")
    kept = [{key: row[key] for key in keys} for row in rows if row["kept"]]
    write_whole(output / MANIFEST, _lines(kept))
    write_whole(output / PAGE, render(rows, output.name))
    return rows


def require_own(output: Path) -> None:
    """Raise ConfigError if ``output`` has a manifest that no earlier run wrote."""
    for name in (MANIFEST, SEGMENTS, PAGE):
        if (output / name).exists() and not any(_lists(output)):
            raise ConfigError(
                f"{output / name} is of another program and is kept: name another --output"
            )


def _lists(output: Path) -> Iterator[Path]:
    yield from sorted(output.glob(f"*/*/*.{SEGMENTS}"))


def _read(path: Path) -> list[Row]:
    try:
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    except ValueError as error:
        raise ManifestError(f"{path} is damaged ({error}): remove its folder") from error


def _lines(rows: Sequence[Row]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
