"""The text of a recording: what is aligned of it, and what it is called in the file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deepspeech2.errors import ManifestError
from deepspeech2.extras.segmentation.cutting import JOINED, NOTHING, UNREADABLE
from deepspeech2.text import Tokenizer
from deepspeech2.text.normalization import spelled_out

TEXT_SUFFIXES = (".txt", ".srt", ".vtt")
_TIMES = re.compile(r"^\s*(\d+:)?\d+:\d+[.,]\d+\s*-->")
_TAG = re.compile(r"<[^<>]*>|\{\\[^{}]*\}")


@dataclass(frozen=True, slots=True)
class Script:
    """A text in words that can be aligned.

    Attributes:
        words: (W,) normalised.
        breaks: (W,) what is before each, see :class:`~.cutting.Cutter`.
        unreadable: what contains characters outside the alphabet, and so is not among the words.
    """

    words: tuple[str, ...]
    breaks: npt.NDArray[np.int8]
    unreadable: tuple[str, ...]
    _written: tuple[str, ...]
    _places: npt.NDArray[np.int64]

    def written(self, first: int, last: int) -> str:
        """The words from ``first`` up to ``last`` as the text has them, marks included."""
        return " ".join(self._written[self._places[first] : self._places[last - 1] + 1])


def script(text: str, text_encoder: Tokenizer, spell_out: str | None = None) -> Script:
    """Divide a text into words.

    Args:
        spell_out: language in whose words numbers are read.

    Raises:
        ConfigError: ``spell_out`` is not known, or num2words is not installed.
    """
    written = tuple(text.split())
    words: list[str] = []
    breaks: list[int] = []
    places: list[int] = []
    unreadable: list[str] = []
    missed = False
    for place, token in enumerate(written):
        spoken = token if spell_out is None else spelled_out(token, spell_out)
        parts = text_encoder.normalize(spoken).split()
        if any(text_encoder.unknown(part) for part in parts):
            unreadable.append(token)
            missed = True
            continue
        for number, part in enumerate(parts):
            words.append(part)
            breaks.append(JOINED if number else UNREADABLE if missed else NOTHING)
            places.append(place)
            missed = False
    return Script(
        tuple(words), np.array(breaks, np.int8), tuple(unreadable), written, np.array(places)
    )


def read_text(path: Path) -> str:
    """Read a text in UTF-8; of subtitles, ``.srt`` and ``.vtt``, what they show.

    Raises:
        ManifestError: it is no UTF-8.
    """
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"{path} is not UTF-8 (byte {error.start}): save it in that encoding"
        ) from error
    if path.suffix.lower() not in (".srt", ".vtt"):
        return text
    shown: list[str] = []
    for block in re.split(r"\n\s*\n", text):
        lines = block.splitlines()
        times = [number for number, line in enumerate(lines) if _TIMES.match(line)]
        if times:
            shown += [_TAG.sub("", line) for line in lines[times[0] + 1 :]]
    return "\n".join(shown)
