"""Transcripts, and their formats: text, tables, subtitles and Praat's TextGrid."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from deepspeech2.decoding import Word
from deepspeech2.escaping import sheet_cell

LINE = 42  # characters that subtitles usually have in a line
LINES = 2
LONGEST = 7.0  # seconds that a cue stays
SHORTEST = 1.0  # seconds that it stays unless the next one comes earlier
PAUSE = 0.8  # seconds of silence that end a cue


@dataclass(frozen=True, slots=True)
class Transcript:
    """The text of a recording and its words.

    Attributes:
        text: normalised; empty if nothing was recognised.
        words: of ``text``, with seconds from the start of the recording.
        confidence: from 0 to 1; 0 without words.
        duration: seconds of the recording.
        id: the stem of its files' names.
        audio: path of the recording; None for samples.
        reference: what was said, normalised; None if unknown.
        channel: the only one that was recognised, counted from 1; None: the mix of all.
        error: why a part of the recording could not be read; None if all was.
    """

    text: str
    words: tuple[Word, ...]
    confidence: float
    duration: float
    id: str = "audio"
    audio: str | None = None
    reference: str | None = None
    channel: int | None = None
    error: str | None = None


def txt(transcript: Transcript) -> str:
    """Return the text on one line, after the channel if there is one."""
    return f"{_channel(transcript, '[channel {}] ')}{transcript.text}\n"


def tsv(transcript: Transcript) -> str:
    """Return a table of start and end in milliseconds, confidence and word, with a header.

    The first column is the channel, if there is one.
    """
    head = "" if transcript.channel is None else "channel\t"
    first = _channel(transcript, "{}\t")
    lines = [f"{head}start\tend\tconfidence\tword"]
    lines += [
        f"{first}{1000 * word.start:.0f}\t{1000 * word.end:.0f}\t{word.confidence:.4f}"
        f"\t{sheet_cell(word.word)}"
        for word in transcript.words
    ]
    return "".join(f"{line}\n" for line in lines)


def ctm(transcript: Transcript) -> str:
    """Return NIST's CTM: recording, channel, start, duration, word and confidence of each word.

    The order within the file is that of ``sclite``: by recording, then by time.
    """
    name = "_".join(transcript.id.split())  # a blank would begin the next column
    return "".join(
        f"{name} {transcript.channel or 1} {word.start:.3f} {max(word.end - word.start, 0.0):.3f}"
        f" {word.word} {word.confidence:.4f}\n"
        for word in transcript.words
    )


@dataclass(frozen=True, slots=True)
class Cue:
    """A subtitle: ``lines`` to be shown from ``start`` to ``end`` seconds."""

    start: float
    end: float
    lines: tuple[str, ...]


def cues(words: Sequence[Word], duration: float) -> tuple[Cue, ...]:
    """Group words into cues of at most two lines that never overlap.

    A cue ends at a pause, when its lines are full, or after ``LONGEST`` seconds. A word that is
    longer than a line is broken. A short cue stays for ``SHORTEST`` seconds if the next one
    leaves room.

    Args:
        duration: seconds of the recording, after which nothing is shown.
    """
    groups = list(_groups(words))
    result = []
    for number, group in enumerate(groups):
        start, end = group[0].start, max(group[-1].end, group[0].start)
        following = groups[number + 1][0].start if number + 1 < len(groups) else duration
        end = min(max(end, start + SHORTEST), max(following, start))
        result.append(Cue(start, end, tuple(_wrapped(group))))
    return tuple(result)


def _groups(words: Sequence[Word]) -> Iterator[list[Word]]:
    group: list[Word] = []
    for word in words:
        if group and (
            word.start - group[-1].end >= PAUSE
            or word.end - group[0].start > LONGEST
            or len(_wrapped([*group, word])) > LINES
        ):
            yield group
            group = []
        group.append(word)
    if group:
        yield group


def _wrapped(group: Sequence[Word]) -> list[str]:
    return textwrap.wrap(" ".join(word.word for word in group), LINE)


def srt(transcript: Transcript) -> str:
    """Return SubRip: numbered cues, milliseconds after a comma, a line for the channel if any."""
    channel = _channel(transcript, "[channel {}]\n")
    return "".join(
        f"{number}\n{_time(cue.start, ',')} --> {_time(cue.end, ',')}\n{channel}"
        + "\n".join(cue.lines)
        + "\n\n"
        for number, cue in enumerate(cues(transcript.words, transcript.duration), 1)
    )


def vtt(transcript: Transcript) -> str:
    """Return WebVTT (W3C): milliseconds after a point, markup escaped; a channel is a voice."""
    voice = _channel(transcript, "<v channel {}>")
    return "WEBVTT\n\n" + "".join(
        f"{_time(cue.start, '.')} --> {_time(cue.end, '.')}\n{voice}"
        + "\n".join(html.escape(line, quote=False) for line in cue.lines)
        + "\n\n"
        for cue in cues(transcript.words, transcript.duration)
    )


def _time(seconds: float, point: str) -> str:
    """``01:02:03,450``"""
    minutes, rest = divmod(round(1000 * seconds), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}{point}{rest % 1000:03d}"


def _channel(transcript: Transcript, template: str) -> str:
    return "" if transcript.channel is None else template.format(transcript.channel)


def text_grid(transcript: Transcript) -> str:
    """Return Praat's TextGrid, in its long text form.

    Its only tier, ``words``, goes from 0 to the end of the recording without a gap.
    """
    channel = _channel(transcript, " (channel {})")
    intervals = _intervals(transcript)
    end = intervals[-1][1]
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0",
        f"xmax = {end:.6f}",
        "tiers? <exists>",
        "size = 1",
        "item []:",
        "    item [1]:",
        '        class = "IntervalTier"',
        f'        name = "words{channel}"',
        "        xmin = 0",
        f"        xmax = {end:.6f}",
        f"        intervals: size = {len(intervals)}",
    ]
    for number, (start, stop, label) in enumerate(intervals, 1):
        escaped = label.replace('"', '""')
        lines += [
            f"        intervals [{number}]:",
            f"            xmin = {start:.6f}",
            f"            xmax = {stop:.6f}",
            f'            text = "{escaped}"',
        ]
    return "".join(f"{line}\n" for line in lines)


def _intervals(transcript: Transcript) -> list[tuple[float, float, str]]:
    """Return words and the silence between them; a word without extent has no interval."""
    intervals: list[tuple[float, float, str]] = []
    reached = 0.0
    for word in transcript.words:
        start = max(word.start, reached)
        if word.end <= start:
            continue
        if start > reached:
            intervals.append((reached, start, ""))
        intervals.append((start, word.end, word.word))
        reached = word.end
    if transcript.duration > reached or not intervals:
        intervals.append((reached, max(transcript.duration, reached), ""))
    return intervals


FORMATS: dict[str, Callable[[Transcript], str]] = {
    "txt": txt,
    "srt": srt,
    "vtt": vtt,
    "tsv": tsv,
    "ctm": ctm,
    "TextGrid": text_grid,
}
"""How to write a transcript, by the suffix of the file."""
