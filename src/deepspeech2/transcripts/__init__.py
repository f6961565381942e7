"""What was heard, as files that other programs read."""

from __future__ import annotations

from collections.abc import Callable

from deepspeech2.transcripts.subtitles import srt, vtt
from deepspeech2.transcripts.tables import ctm, tsv, txt
from deepspeech2.transcripts.textgrid import text_grid
from deepspeech2.transcripts.transcript import Transcript

FORMATS: dict[str, Callable[[Transcript], str]] = {
    "txt": txt,
    "srt": srt,
    "vtt": vtt,
    "tsv": tsv,
    "ctm": ctm,
    "TextGrid": text_grid,
}
"""By the endings of their files, each of which holds one recording."""

__all__ = ["FORMATS", "Transcript"]
