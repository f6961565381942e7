"""Reading predictions and references from files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from src.errors import ManifestError

# Why an utterance is reported, in the words of the report.
NO_REFERENCE = "without a reference"
FAILED = "marked as failed"
NO_PREDICTION_KEY = "without pred_text"
MISSING = "without a prediction, scored as empty"


@dataclass(frozen=True, slots=True)
class Predictions:
    """What was read.

    Attributes:
        pairs: (reference, hypothesis) of every utterance that can be scored.
        skipped: by reason the names of those that cannot.
        missing: references without a prediction; they stand in ``pairs`` with an empty one.
    """

    pairs: list[tuple[str, str]]
    skipped: dict[str, list[str]]
    missing: list[str]


def read_objects(path: Path) -> Predictions:
    """Read ``pred_text`` and ``text`` from a folder's ``.json`` files or a JSON-lines file.

    The folder is searched recursively, one utterance a file. An object with a key ``error``,
    without ``pred_text``, or whose ``text`` is absent or null is skipped and named.

    Raises:
        ManifestError: the path is absent, holds no predictions, or one is malformed.
    """
    if path.is_dir():
        objects: Iterable[tuple[str, object]] = (
            (str(file.relative_to(path)), _parse(_read(file), str(file)))
            for file in _files(path, ".json")
        )
    elif path.is_file():
        objects = _lines(path)
    else:
        raise ManifestError(f"{path} is neither a folder of predictions nor a JSON-lines file")
    result = Predictions([], {NO_REFERENCE: [], FAILED: [], NO_PREDICTION_KEY: []}, [])
    for name, value in objects:
        _sort_in(result, name, value)
    if not result.pairs:
        skipped = sum(map(len, result.skipped.values()))
        raise ManifestError(
            f"{path} holds no prediction that can be scored ({skipped} without pred_text or text)"
        )
    return result


def read_text_folders(predictions: Path, references: Path) -> Predictions:
    """Pair ``.txt`` files of two folders, searched recursively, by file stem.

    A reference without a prediction counts as an empty hypothesis; a prediction without a
    reference is skipped and named.

    Raises:
        ManifestError: a folder is absent or holds no ``.txt``, or a stem occurs twice in it.
    """
    hypotheses, truths = _by_stem(predictions), _by_stem(references)
    pairs = [
        (_read(file), _read(hypotheses[stem]) if stem in hypotheses else "")
        for stem, file in truths.items()
    ]
    extra = [stem for stem in hypotheses if stem not in truths]
    missing = [stem for stem in truths if stem not in hypotheses]
    if len(missing) == len(truths):
        raise ManifestError(f"{predictions} and {references} have no file stem in common")
    return Predictions(pairs, {NO_REFERENCE: extra}, missing)


def _sort_in(result: Predictions, name: str, value: object) -> None:
    if not isinstance(value, dict):
        result.skipped[NO_PREDICTION_KEY].append(name)
        return
    hypothesis, reference = value.get("pred_text"), value.get("text")
    if value.get("error") is not None:
        result.skipped[FAILED].append(name)
    elif not isinstance(hypothesis, str):
        result.skipped[NO_PREDICTION_KEY].append(name)
    elif not isinstance(reference, str):
        result.skipped[NO_REFERENCE].append(name)
    else:
        result.pairs.append((reference, hypothesis))


def _lines(path: Path) -> Iterator[tuple[str, object]]:
    for number, line in enumerate(_read(path).split("\n"), start=1):
        if line.strip():
            yield f"line {number}", _parse(line, f"{path}, line {number},")


def _by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise ManifestError(f"{folder} is not a folder")
    found: dict[str, Path] = {}
    for file in _files(folder, ".txt"):
        if file.stem in found:
            raise ManifestError(f"{found[file.stem]} and {file} have the same stem")
        found[file.stem] = file
    if not found:
        raise ManifestError(f"{folder} holds no .txt file")
    return found


def _files(folder: Path, suffix: str) -> list[Path]:
    return sorted(file for file in folder.rglob(f"*{suffix}") if file.is_file())


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{file} cannot be read: {error}") from error


def _parse(text: str, where: str) -> object:
    try:
        parsed: object = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ManifestError(f"{where} is not valid JSON: {error}") from error
    return parsed
