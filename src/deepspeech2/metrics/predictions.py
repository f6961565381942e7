"""Predictions with their references, whatever wrote them.

An object has both, in a folder of JSON files, or in a file of JSON lines, an array or one object;
so do NVIDIA NeMo's manifests with ``pred_text``, and the keys of other programs that
:mod:`deepspeech2.fields` lists. :mod:`deepspeech2.metrics.tabular` reads tables, and pairs of
folders or files of which one has the references.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deepspeech2.errors import ManifestError
from deepspeech2.fields import AUDIO, ID, PREDICTION, SPEAKER, TEXT, find, listed

# Why an utterance is reported, in the words of the report.
NO_REFERENCE = "without a reference"
FAILED = "marked as failed"
NO_PREDICTION_KEY = "without pred_text"
DUPLICATE = "there more than once, of which the first is scored"
MISSING = "without a prediction, scored as empty"
EMPTY = "with an empty prediction, scored as it is"
EMPTY_REFERENCE = "with an empty reference, scored as it is"

UNLISTED = "that the manifest does not list"
UNRECOGNISED = "in the manifest without a prediction, not scored"

MADE_WITH = ".made_with"
"""The file that names the checkpoint and decoder which made the predictions of its folder."""

_SEGMENT = ("segment_id",)  # which part of a recording; alone a name only where no two are alike
_PATH = ("audio_path",)


@dataclass(frozen=True, slots=True)
class Entry:
    """An utterance that can be scored.

    Attributes:
        name: unique.
        fields: whatever else is known of it: duration ..., and under these names ``speaker`` and
            ``audio_path``; of our own predictions also ``decoder`` and ``model``, the checkpoint's
            SHA-256.
    """

    name: str
    reference: str
    hypothesis: str
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Predictions:
    """What was read.

    Attributes:
        entries: every utterance that can be scored.
        skipped: by reason the names of those that cannot.
        missing: references without a prediction; ``entries`` has them with an empty one.
        notes: by reason the names of others that a reader should know of.
        date: the day (UTC) on which the newest file of predictions was written, as in ISO 8601.
    """

    entries: list[Entry] = field(default_factory=list)
    skipped: dict[str, list[str]] = field(
        default_factory=lambda: {
            reason: [] for reason in (NO_REFERENCE, FAILED, NO_PREDICTION_KEY, DUPLICATE)
        }
    )
    missing: list[str] = field(default_factory=list)
    notes: dict[str, list[str]] = field(default_factory=dict)
    date: str = ""
    _names: set[str] = field(default_factory=set)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """(reference, hypothesis) of every entry."""
        return [(entry.reference, entry.hypothesis) for entry in self.entries]

    def add(self, entry: Entry) -> None:
        """Add an entry, unless there is one of its name."""
        if entry.name in self._names:
            self.skipped[DUPLICATE].append(entry.name)
            return
        self._names.add(entry.name)
        self.entries.append(entry)

    def remarks(self) -> dict[str, list[str]]:
        """By reason the names of all utterances that a reader should know of."""
        missing = set(self.missing)
        predicted = [entry for entry in self.entries if entry.name not in missing]
        empty = [entry.name for entry in predicted if not entry.hypothesis.strip()]
        blank = [entry.name for entry in self.entries if not entry.reference.strip()]
        found = {MISSING: self.missing, EMPTY: empty, EMPTY_REFERENCE: blank}
        return self.skipped | found | self.notes


def read_objects(path: Path) -> Predictions:
    """Read ``pred_text`` and ``text`` from a folder's ``.json`` files or a JSON-lines file.

    Other names of these count where there is only one of them, see :mod:`deepspeech2.fields`. The
    folder is searched recursively, one utterance a file. An object with a key ``error``, without a
    prediction, or whose reference is absent or null is skipped and named.

    Raises:
        ManifestError: the path is absent, contains no predictions, or one is malformed.
    """
    if path.is_dir():
        objects: Iterable[tuple[str, object]] = _files(path)
    elif path.is_file():
        objects = _lines(path)
    else:
        raise ManifestError(f"{path} is neither a folder of predictions nor a JSON-lines file")
    result = Predictions()
    every = list(objects)
    for name, place, value in named(every):
        _add_object(result, name, place, value)
    if not result.entries:
        skipped = sum(map(len, result.skipped.values()))
        keys = sorted({str(key) for _, value in every if isinstance(value, dict) for key in value})
        raise ManifestError(
            f"{path} contains no prediction that can be scored ({skipped} without pred_text or"
            f" text): it needs one of {listed(PREDICTION)} and one of {listed(TEXT)}, but its keys"
            f" are {listed(keys)}"
        )
    return result


def read_fields(path: Path) -> dict[str, Mapping[str, Any]]:
    """Return what a manifest of JSON lines has on each utterance, by its name.

    Raises:
        ManifestError: it is absent or malformed.
    """
    return {name: value for name, _, value in named(_lines(path)) if isinstance(value, dict)}


def named(objects: Iterable[tuple[str, object]]) -> list[tuple[str, str, object]]:
    """Return (name, place, value) of every (place, value); objects get a speaker and audio_path.

    The name is the id, or else that of the recording, with folders only if others are called
    alike, and with the offset or number of the segment if there is one; or else the place.
    """
    every = [(place, *_with_known_names(value)) for place, value in objects]
    recordings: dict[str, set[str]] = {}
    segments: Counter[str] = Counter()
    for _, _, own in every:
        path = _first(own, _PATH)
        if path:
            recordings.setdefault(_stem(path), set()).add(path)
        segments[_first(own, _SEGMENT)] += 1
    found = []
    for place, value, own in every:
        name, path = _first(own, ID), _first(own, _PATH)
        segment = "" if name else _first(own, _SEGMENT)
        if segment and segments[segment] == 1:
            name, segment = segment, ""
        if path and not name:
            name = _stem(path)
            name = name if len(recordings[name]) == 1 else os.path.splitext(path)[0]
        if name and segment:
            name = f"{name}-{segment}"
        offset = own.get("offset") if name else None
        if isinstance(offset, int | float) and offset:
            name = f"{name}@{offset:.10g}"  # hours of a recording to the millisecond
        found.append((name or place, place, value))
    return found


def _with_known_names(value: object) -> tuple[object, dict[str, Any]]:
    """An object that names speaker and recording as the report does; its keys in lower case."""
    if not isinstance(value, dict):
        return value, {}
    own = {key.lower(): each for key, each in value.items()}
    for name, known in (("speaker", SPEAKER), (_PATH[0], AUDIO)):
        # decoded sound, as data sets of Hugging Face have it, is no name
        if own.get(name) in (None, "") and (found := _first(own, known)):
            value, own = {**value, name: found}, {**own, name: found}
    return value, own


def _first(own: Mapping[str, Any], keys: Sequence[str]) -> str:
    """The first of these that an object has, as text; nothing if it has none."""
    given = (own.get(key) for key in keys)
    return next((str(each) for each in given if isinstance(each, str | int) and each != ""), "")


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]


def _add_object(result: Predictions, name: str, place: str, value: object) -> None:
    """Add an object to the entries, or its place to those that are skipped."""
    if not isinstance(value, dict):
        result.skipped[NO_PREDICTION_KEY].append(place)
        return
    try:
        keys = [find(value, known) for known in (PREDICTION, TEXT)]
    except ValueError as error:
        raise ManifestError(f"{place}: {error}") from error
    hypothesis, reference = (None if key is None else value[key] for key in keys)
    if value.get("error") is not None:
        result.skipped[FAILED].append(place)
    elif not isinstance(hypothesis, str):
        result.skipped[NO_PREDICTION_KEY].append(place)
    elif not isinstance(reference, str):
        result.skipped[NO_REFERENCE].append(place)
    else:
        result.add(Entry(name, reference, hypothesis, value))


def _files(folder: Path) -> Iterator[tuple[str, object]]:
    """The object of each file below a folder, with the decoder and model that its folder names."""
    origins: dict[Path, dict[str, str]] = {}
    for file in files(folder, ".json"):
        value = parse(read_text(file), str(file))
        if file.parent not in origins:
            origins[file.parent] = _made_with(file.parent)
        if isinstance(value, dict):
            origin = origins[file.parent].items()
            value |= {key: each for key, each in origin if value.get(key) is None}
        yield str(file.relative_to(folder)), value


def _made_with(folder: Path) -> dict[str, str]:
    """Which model and decoder made the predictions of a folder, as far as that is known."""
    try:
        content = json.loads((folder / MADE_WITH).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    known = content if isinstance(content, dict) else {}
    origin = {"decoder": known.get("decoder"), "model": known.get("checkpoint")}
    return {name: value for name, value in origin.items() if isinstance(value, str)}


def written(path: Path, suffix: str) -> str:
    """Return the day (UTC) of the newest change to a file, or to a folder's of that ending."""
    found = files(path, suffix) if path.is_dir() else [path]
    newest = max((file.stat().st_mtime for file in found), default=None)
    return "" if newest is None else datetime.fromtimestamp(newest, UTC).date().isoformat()


def _lines(path: Path) -> Iterator[tuple[str, object]]:
    """The objects of a file: one a line, those of an array, or the only one."""
    text = read_text(path)
    if text.lstrip().startswith("["):
        array = parse(text, str(path))
        assert isinstance(array, list)
        yield from ((f"object {number}", each) for number, each in enumerate(array, start=1))
        return
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if path.suffix.lower() == ".json" and lines and lines[0][1].strip() == "{":
        yield str(path), parse(text, str(path))
        return
    for number, line in lines:
        yield f"line {number}", parse(line, f"{path}, line {number},")


def files(folder: Path, suffix: str) -> list[Path]:
    """Return the files of that ending below a folder, sorted."""
    found = [
        os.path.join(place, name)
        for place, _, names in os.walk(folder)
        for name in names
        if name.endswith(suffix)
    ]
    return [Path(file) for file in sorted(found, key=lambda file: file.split(os.sep))]


def read_text(file: Path) -> str:
    """Return a file's text, its lines ended as on Unix.

    Raises:
        ManifestError: it cannot be read as UTF-8.
    """
    try:
        with open(file, "rb", buffering=0) as opened:  # a third of the time of read_bytes
            text = opened.read().decode("utf-8-sig")
    except OSError as error:
        raise ManifestError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ManifestError(f"{file} cannot be read: it is not UTF-8 ({error})") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parse(text: str, where: str) -> object:
    """Return a JSON value; a ManifestError names ``where``."""
    try:
        parsed: object = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ManifestError(f"{where} is not valid JSON: {error}") from error
    return parsed
