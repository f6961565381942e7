"""The text of a recording: what is aligned of it, and what it is called in the file."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.extras.segmentation.books import (
    HTML_SUFFIXES,
    MOST,
    book_text,
    decoded,
    page_text,
    without_licence,
)
from deepspeech2.extras.segmentation.cutting import JOINED, NOTHING, UNREADABLE
from deepspeech2.text import Tokenizer
from deepspeech2.text.normalization import Normalizer, spelled_out

Times = npt.NDArray[np.float64]
SUBTITLES = (".srt", ".vtt")
TEXT_SUFFIXES = (".txt", *SUBTITLES, *HTML_SUFFIXES, ".epub")
_TIME = r"(?:(\d+):)?(\d+):(\d+)[.,](\d+)"
_TIMES = re.compile(rf"^\s*{_TIME}\s*-->\s*{_TIME}")
_TAG = re.compile(r"<[^<>]*>|\{\\[^{}]*\}")


@dataclass(frozen=True, slots=True)
class Script:
    """A text in words that can be aligned.

    Attributes:
        words: (W,) normalised, in letters of the model's alphabet.
        texts: (W,) the same in their own letters, which is what a corpus has; empty for what is
            not the first part of a word.
        breaks: (W,) what is before each, see :class:`~.cutting.Cutter`.
        shown: (W, 2) from which and up to which second each is shown; None: no subtitles.
        unreadable: what contains characters outside the alphabet, and so is not among the words.
    """

    words: tuple[str, ...]
    texts: tuple[str, ...]
    breaks: npt.NDArray[np.int8]
    shown: Times | None
    unreadable: tuple[str, ...]
    _written: tuple[str, ...]
    _places: npt.NDArray[np.int64]

    def text(self, first: int, last: int) -> str:
        """The words from ``first`` up to ``last``, normalised, in their own letters."""
        return " ".join(filter(None, self.texts[first:last]))

    def written(self, first: int, last: int) -> str:
        """The words from ``first`` up to ``last`` as the text has them, marks included."""
        return " ".join(self._written[self._places[first] : self._places[last - 1] + 1])


def script(
    text: str,
    text_encoder: Tokenizer,
    spell_out: str | None = None,
    *,
    transliterate: bool = False,
    shown: Times | None = None,
) -> Script:
    """Divide a text into words.

    Args:
        shown: (N, 2) seconds of what white space divides; None: no subtitles.
        spell_out: language in whose words numbers are read.
        transliterate: align words of other letters by those of ASCII that sound most alike.

    Raises:
        ConfigError: ``spell_out`` is not known, or num2words or anyascii is not installed.
    """
    written = tuple(text.split())
    words: list[str] = []
    texts: list[str] = []
    breaks: list[int] = []
    places: list[int] = []
    unreadable: list[str] = []
    missed = False
    own = _own_and_aligned(text_encoder, transliterate)
    for place, token in enumerate(written):
        parts = own(token if spell_out is None else spelled_out(token, spell_out))
        if any(not aligned or text_encoder.unknown(aligned) for _, aligned in parts):
            unreadable.append(token)
            missed = True
            continue
        pairs = [pair for text, aligned in parts for pair in zip_longest([text], aligned.split())]
        for number, (own_text, word) in enumerate(pairs):
            words.append(word)
            texts.append(own_text or "")
            breaks.append(JOINED if number else UNREADABLE if missed else NOTHING)
            places.append(place)
            missed = False
    numbers = np.array(places, np.int64)
    return Script(
        tuple(words),
        tuple(texts),
        np.array(breaks, np.int8),
        None if shown is None else shown[numbers],
        tuple(unreadable),
        written,
        numbers,
    )


def _own_and_aligned(
    text_encoder: Tokenizer, transliterate: bool
) -> Callable[[str], list[tuple[str, str]]]:
    """Divides a text into normalised words, each in its own letters and in those to align."""
    if not transliterate:
        return lambda text: [(word, word) for word in text_encoder.normalize(text).split()]
    try:
        from anyascii import anyascii
    except ImportError as error:
        raise ConfigError("--transliterate needs anyascii: pip install anyascii==0.3.3") from error
    plain = Normalizer()
    return lambda text: [
        (word, text_encoder.normalize(anyascii(word))) for word in plain(text).split()
    ]


def read_text(path: Path) -> tuple[str, Times | None]:
    """Read a text, by the ending of its name; of a book of Project Gutenberg without the licence.

    Returns:
        the text, of subtitles (``.srt`` and ``.vtt``) what they show; and for these (N, 2) from
        which and up to which second each word, as white space divides them, is shown.

    Raises:
        ManifestError: it is not UTF-8, or see :func:`~.books.book_text`.
    """
    suffix = path.suffix.lower()
    if suffix == ".epub":
        return without_licence(book_text(path)), None
    if path.stat().st_size > MOST:
        raise ManifestError(f"{path} has more than {MOST // 2**20} MiB: take the part that is read")
    text = decoded(path.read_bytes(), path, declares=suffix in HTML_SUFFIXES)
    if suffix in HTML_SUFFIXES:
        text = page_text(text)
    if suffix not in SUBTITLES:
        return without_licence(text), None
    words: list[str] = []
    shown: list[tuple[float, float]] = []
    for block in re.split(r"\n\s*\n", text):
        lines = block.splitlines()
        found = [(n, match) for n, line in enumerate(lines) if (match := _TIMES.match(line))]
        if found:
            number, match = found[0]
            own = [word for line in lines[number + 1 :] for word in _TAG.sub("", line).split()]
            words += own
            shown += [(_seconds(*match.groups()[:4]), _seconds(*match.groups()[4:]))] * len(own)
    return " ".join(words), np.array(shown, np.float64).reshape(-1, 2)


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str) -> float:
    return 3600 * int(hours or 0) + 60 * int(minutes) + float(f"{seconds}.{fraction}")
