"""Texts by name (folders of ``.txt``, Kaldi's ``text``, sclite's ``trn``), and tables of both."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from deepspeech2.errors import ManifestError
from deepspeech2.fields import PREDICTION, TEXT, find, listed
from deepspeech2.metrics.predictions import (
    NO_REFERENCE,
    Entry,
    Predictions,
    files,
    named,
    read_text,
)

_TRN = re.compile(r"^(.*)\(([^()\s]+)\)\s*$")
SEPARATORS = {".csv": ",", ".tsv": "\t"}
"""Of columns, by the endings of tables."""


def read_apart(predictions: Path, references: Path) -> Predictions:
    """Pair two sources of texts by name, each a folder of ``.txt`` or a file with all of them.

    A reference without a prediction counts as an empty hypothesis; a prediction without a
    reference is skipped and named.

    Raises:
        ManifestError: one is absent, empty or malformed, names an utterance twice, or they have
            no name in common.
    """
    hypotheses, truths = _texts(predictions), _texts(references)
    result = Predictions()
    for name, reference in truths.items():
        result.add(Entry(name, reference, hypotheses.get(name, "")))
    result.missing += [name for name in truths if name not in hypotheses]
    result.skipped[NO_REFERENCE] += [name for name in hypotheses if name not in truths]
    if len(result.missing) == len(truths):
        what = "file stem" if predictions.is_dir() and references.is_dir() else "name"
        raise ManifestError(f"{predictions} and {references} have no {what} in common")
    return result


def read_table(path: Path) -> Predictions:
    """Read a table with a header, in which columns name the hypothesis and the reference.

    Raises:
        ManifestError: a column is missing or ambiguous, a row is of another length, or there is
            no row.
    """
    text = read_text(path)
    separator = SEPARATORS[path.suffix.lower()]
    first = text.partition("\n")[0]
    if separator == "," and ";" in first and "," not in first:
        separator = ";"
    # with their ends, which belong to a cell that goes over several lines
    table = io.StringIO(text, newline="")
    if separator == "\t" and _is_plain(text):
        rows = csv.reader(table, delimiter=separator, quoting=csv.QUOTE_NONE)
    else:
        rows = csv.reader(table, delimiter=separator, strict=True)
    found: list[tuple[str, dict[str, str]]] = []
    try:
        header = [name.strip() for name in next(rows, [])]
        hypothesis = _column(path, header, PREDICTION, "the prediction")
        reference = _column(path, header, TEXT, "the reference")
        for row in filter(None, rows):
            place = f"line {rows.line_num}"
            if len(row) != len(header):
                raise ManifestError(
                    f"{path}, {place}, has {len(row)} columns, but the header has {len(header)}"
                )
            found.append((place, dict(zip(header, row, strict=True))))
    except csv.Error as error:
        raise ManifestError(
            f"{path}, line {rows.line_num}, is no row of a table: {error}"
        ) from error
    result = Predictions()
    for name, _, fields in named(found):
        assert isinstance(fields, dict)
        result.add(Entry(name, fields[reference], fields[hypothesis], fields))
    if not result.entries:
        raise ManifestError(f"{path} contains no prediction that can be scored: it has no row")
    return result


def _is_plain(text: str) -> bool:
    """Whether every line is a row of as many columns, so that quotation marks are text."""
    lines = [line for line in text.split("\n") if line]
    return len({line.count("\t") for line in lines}) <= 1


def _column(path: Path, header: Sequence[str], known: Sequence[str], what: str) -> str:
    try:
        found = find(header, known)
    except ValueError as error:
        raise ManifestError(f"{path}: {error}") from error
    if found is None:
        raise ManifestError(
            f"{path} has no column for {what}: it must be called {', '.join(known)}, but the"
            f" header has {listed(header)}"
        )
    return found


def _texts(source: Path) -> dict[str, str]:
    """Texts by name, of a folder or a file."""
    if source.is_dir():
        return _by_stem(source)
    if not source.is_file():
        raise ManifestError(f"{source} is not a folder, nor a file of texts")
    lines = [
        (number, line)
        for number, line in enumerate(read_text(source).split("\n"), start=1)
        if line.strip() and not line.startswith(";;")
    ]
    if not lines:
        raise ManifestError(f"{source} is empty: it contains no text")
    is_trn = source.suffix.lower() == ".trn" or all(_TRN.match(line) for _, line in lines)
    split: Callable[[str], tuple[str, str] | None] = _trn if is_trn else _kaldi
    found: dict[str, str] = {}
    for number, line in lines:
        parts = split(line)
        if parts is None:
            raise ManifestError(f"{source}, line {number}, must end with an id in brackets")
        name, text = parts
        if is_trn and "{" in text:
            raise ManifestError(f"{source}, line {number}, has alternatives, which are not known")
        if name in found:
            raise ManifestError(f"{source}, line {number}, names {name} a second time")
        found[name] = text
    return found


def _trn(line: str) -> tuple[str, str] | None:
    found = _TRN.match(line)
    return (found[2], found[1].strip()) if found else None


def _kaldi(line: str) -> tuple[str, str] | None:
    name, _, text = line.strip().partition(" ")
    if "\t" in name:
        name, _, text = line.strip().partition("\t")
    return name, text.strip()


def _by_stem(folder: Path) -> dict[str, str]:
    found: dict[str, Path] = {}
    for file in files(folder, ".txt"):
        if file.stem in found:
            raise ManifestError(f"{found[file.stem]} and {file} have the same stem")
        found[file.stem] = file
    if not found:
        raise ManifestError(f"{folder} contains no .txt file")
    return {stem: read_text(file) for stem, file in found.items()}
