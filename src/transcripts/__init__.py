"""What was heard, as files that other programs read."""

from __future__ import annotations

from collections.abc import Callable

from src.transcripts.subtitles import srt, vtt
from src.transcripts.tables import ctm, tsv, txt
from src.transcripts.textgrid import text_grid
from src.transcripts.transcript import Transcript

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
