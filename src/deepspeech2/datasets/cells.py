"""Read the cells of tables, and the words of lines, as text."""

from __future__ import annotations

import codecs
import csv
import io
import re
from pathlib import Path

from deepspeech2.errors import ConfigError, ManifestError

Line = tuple[int, list[str]]
"""The number of a row's first line, and its cells."""

_MARKS = {
    codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be",
}  # fmt: skip
_BLANKS = re.compile(r"[ \t]+")
_DELIMITERS = ",;\t|"
_BROKEN = "\udc80", "\udcff"  # the range of what stands for bytes that could not be decoded


def read_cells(
    path: Path, delimiter: str | None = None, quoting: bool | None = None, encoding: str = "utf-8"
) -> tuple[list[Line], list[tuple[str, str]]]:
    """Read the rows of a table that are not empty, and the faults (place, reason) of the others.

    Args:
        delimiter, quoting, encoding: see :class:`~deepspeech2.datasets.table.TableCorpus`.

    Raises:
        ConfigError: ``delimiter`` is not one character, or ``encoding`` is unknown.
        ManifestError: the file cannot be read, or a quotation mark is never closed.
    """
    if delimiter is not None and len(delimiter) != 1:
        raise ConfigError(f"delimiter must be one character or null, but is {delimiter!r}")
    text, broken = read_text(path, encoding)
    if delimiter is None:
        first = text.partition("\n")[0]
        is_tsv = path.suffix.lower() in (".tsv", ".tab")
        delimiter = "\t" if is_tsv else max(_DELIMITERS, key=first.count)
    if quoting is None:
        quoting = delimiter in ",;"
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quoting else csv.QUOTE_NONE,
        strict=quoting,
    )
    lines: list[Line] = []
    faults: list[tuple[str, str]] = []
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return lines, faults
        except csv.Error as error:
            if reader.line_num > number:  # the lines in between would be lost
                raise ManifestError(
                    f"{path}, line {number}: a quotation mark is never closed: close it, or set"
                    " quoting=false if such marks are part of the text"
                ) from error
            faults.append((f"line {number}", f"wrong quotation marks ({error})"))
            continue
        if broken and any(map(_is_broken, cells)):
            faults.append((f"line {number}", f"not {encoding.upper()}: set encoding, as in cp1252"))
        elif any(cells):
            lines.append((number, cells))


def read_words(path: Path, most: int) -> tuple[list[Line], list[tuple[str, str]]]:
    """Read the words of each line that is not empty, and the faults (place, reason) of the others.

    Spaces and tabs separate words. There are up to ``most``; the last is the rest of the line.

    Raises:
        ManifestError: the file is missing, or cannot be read.
    """
    text, broken = read_text(path)
    lines: list[Line] = []
    faults: list[tuple[str, str]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.strip(" \t\r")
        if broken and _is_broken(line):
            faults.append((f"line {number}", "not UTF-8: convert the file, as with iconv"))
        elif line:
            lines.append((number, _BLANKS.split(line, most - 1)))
    return lines, faults


def _is_broken(text: str) -> bool:
    return any(_BROKEN[0] <= mark <= _BROKEN[1] for mark in text)


def read_text(path: Path, encoding: str = "utf-8") -> tuple[str, bool]:
    """Return a file's text, and whether bytes of it could not be decoded.

    Such bytes become lone surrogates (Python's ``surrogateescape``).

    Raises:
        ConfigError: ``encoding`` is unknown.
        ManifestError: the file is missing, or cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ManifestError(f"{path} does not exist: check its name and data_dir") from error
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from error
    for mark, marked in _MARKS.items():
        if content.startswith(mark):
            content, encoding = content[len(mark) :], marked
            break
    try:
        return content.decode(encoding), False
    except LookupError as error:
        raise ConfigError(f"encoding={encoding!r} is unknown: give one as utf-8") from error
    except UnicodeDecodeError:
        pass
    try:
        return content.decode(encoding, "surrogateescape"), True
    except UnicodeDecodeError as error:  # of an odd number of bytes, in UTF-16
        raise ManifestError(f"{path} is not {encoding.upper()}: set encoding") from error
