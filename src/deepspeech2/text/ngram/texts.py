"""Text files, compressed or not; the sentences in them, and their words as numbers."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from deepspeech2.errors import ManifestError
from deepspeech2.text.ngram.backoff import BEGIN, END, UNKNOWN

RESERVED = frozenset({UNKNOWN, BEGIN, END})
TRANSCRIPTS = "*.trans.txt"
MANIFEST = ".jsonl"
_CHUNK = 50_000  # sentences whose words are in memory as strings at the same time
_PACKED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"\xfd7zXZ\x00": lzma.open, b"BZh": bz2.open}
"""By their first bytes, whatever a file is called."""


@dataclass(frozen=True, slots=True)
class EncodedText:
    """A text in numbers.

    Args:
        words: id to word; the first three are ``<unk>``, ``<s>`` and ``</s>``.
        ids: (T,) int32, the sentences one after the other, each from ``<s>`` to ``</s>``.
    """

    words: tuple[str, ...]
    ids: NDArray[np.int32]


def open_text(path: Path) -> IO[bytes]:
    """Open a file to read its bytes, unpacked if it is one of gzip, xz or bzip2."""
    with path.open("rb") as file:
        head = file.read(8)
    opened = next((each for magic, each in _PACKED.items() if head.startswith(magic)), open)
    return cast("IO[bytes]", opened(path, "rb"))


def packing(file: IO[bytes], path: Path) -> AbstractContextManager[IO[bytes]]:
    """A context that writes to ``file`` as the name ``path`` asks; it leaves ``file`` open."""
    openers: dict[str, Any] = {".gz": gzip.open, ".xz": lzma.open}
    opened = openers.get(path.suffix)
    return nullcontext(file) if opened is None else cast("IO[bytes]", opened(file, "wb"))


def text_files(path: Path) -> list[Path]:
    """Return the text files that ``path`` names: itself, or the transcripts below a folder.

    Raises:
        ManifestError: it does not exist, or is a folder without transcripts.
    """
    if path.is_dir():
        transcripts = sorted(path.rglob(TRANSCRIPTS))
        if not transcripts:
            raise ManifestError(
                f"{path} contains no transcripts ({TRANSCRIPTS}): name a text file, or a folder in "
                "LibriSpeech's layout"
            )
        return transcripts
    if not path.is_file():
        raise ManifestError(f"{path} does not exist: name a text file or a folder of transcripts")
    return [path]


def read_sentences(files: Iterable[Path], normalize: Callable[[str], str]) -> Iterator[str]:
    """Yield the sentences of ``files``, one a line, normalised; lines without words are left out.

    A file ``*.gz`` or ``*.xz`` is unpacked; in a file ``*.trans.txt`` every line begins with the
    id of the utterance, which is dropped; a file ``*.jsonl`` is a manifest, whose texts are taken.

    Raises:
        ManifestError: a file cannot be read, contains a word that is reserved for the model, or is
            a manifest without texts.
    """
    for path in files:
        for number, line in enumerate(_lines(path), start=1):
            sentence = normalize(_text_of(path, number, line))
            if "<" in sentence and RESERVED.intersection(sentence.split()):
                raise ManifestError(
                    f"{path}, line {number}: {UNKNOWN}, {BEGIN} and {END} belong to the language "
                    "model and cannot be words of a text"
                )
            if sentence:
                yield sentence


def encode(sentences: Iterable[str]) -> EncodedText:
    """Number the words in the order of their first occurrence, after the reserved three.

    Raises:
        ManifestError: there is no sentence.
    """
    # A missing word takes the next number inside the dictionary's own look-up, and so without a
    # step of Python for every word.
    numbers: defaultdict[str, int] = defaultdict(count().__next__)
    for word in (UNKNOWN, BEGIN, END):
        numbers[word]
    remaining, chunks = iter(sentences), []
    while chunk := list(islice(remaining, _CHUNK)):
        words = f"{BEGIN} {f' {END} {BEGIN} '.join(chunk)} {END}".split()
        chunks.append(np.fromiter(map(numbers.__getitem__, words), np.int32, len(words)))
    if not chunks:
        raise ManifestError("the text is empty: a language model needs at least one sentence")
    return EncodedText(tuple(numbers), np.concatenate(chunks))


def _text_of(path: Path, number: int, line: str) -> str:
    """What is said in a line of a file of this name."""
    if path.match(TRANSCRIPTS):
        return line.partition(" ")[2]
    if path.suffix != MANIFEST or not line.strip():
        return line
    try:
        text = json.loads(line)["text"]
    except (ValueError, KeyError, TypeError):
        text = None
    if not isinstance(text, str):
        raise ManifestError(
            f'{path}, line {number}: a manifest has an object with a "text" in every line'
        )
    return text


def _lines(path: Path) -> Iterator[str]:
    try:
        with open_text(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig") as lines:
            yield from lines
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is not UTF-8 text: {error.reason}") from None
    except (EOFError, lzma.LZMAError, zlib.error) as error:
        raise ManifestError(f"{path} is damaged or cut off: {error}") from None
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror or error}") from None
