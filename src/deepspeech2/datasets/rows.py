"""Rows of manifests: read from JSON, and checked."""

from __future__ import annotations

import gzip
import json
import math
import zlib
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from deepspeech2.datasets.corpus import MOST_NAMED, Exclusion
from deepspeech2.errors import ManifestError

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One utterance of a manifest, checked.

    Attributes:
        audio: as written, relative to a folder that the reader knows.
        duration: seconds; None: to be read from the recording.
        offset: seconds from the start of the recording.
        channel: counted from 1; None: all of them together.
        weight: of its transcript in training.
    """

    audio: PurePath
    duration: float | None = None
    text: str | None = None
    offset: float = 0.0
    speaker: str | None = None
    id: str | None = None
    channel: int | None = None
    weight: float = 1.0


def read_rows(
    path: Path, parse: Callable[[JsonObject], Sequence[Row]]
) -> tuple[list[Row], list[Exclusion]]:
    """Read JSON lines, or one JSON list; return the rows of what is right, and the faults.

    A file whose name ends in ``.gz`` is unpacked.

    Args:
        parse: makes the rows of one object; raises ValueError, with the reason, if it is wrong.

    Raises:
        ManifestError: there is no manifest, or more than half of it is wrong; names every fault.
    """
    rows: list[Row] = []
    faults: list[tuple[str, str]] = []
    n_right = 0
    for place, item in _items(_content(path)):
        try:
            rows += parse(_object(item))
            n_right += 1
        except ValueError as error:
            faults.append((place, str(error)))
    return rows, judged(path, n_right, faults)


def judged(
    path: Path, n_right: int, faults: Sequence[tuple[str, str]], kind: str = "manifest"
) -> list[Exclusion]:
    """Return the faults of a file, (place, reason) each, as exclusions.

    Raises:
        ManifestError: there are more than ``n_right``; names them.
    """
    if len(faults) > n_right:
        named = [f"{place}: {reason}" for place, reason in faults[:MOST_NAMED]]
        if len(faults) > MOST_NAMED:
            named.append(f"and {len(faults) - MOST_NAMED} more")
        if len(faults) > 1 and len({reason for _, reason in faults}) == 1:
            named = [f"each: {faults[0][1]}"]
        unit = faults[0][0].partition(" ")[0]
        raise ManifestError(
            f"{path} is no {kind}: {len(faults)} of {len(faults) + n_right} {unit}s are wrong"
            f" ({'; '.join(named)})"
        )
    return [Exclusion(f"{path.name}, {place}", reason) for place, reason in faults]


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        if path.suffix.lower() == ".gz":
            content = gzip.decompress(content)
    except FileNotFoundError as error:
        raise ManifestError(f"{path} does not exist: check manifest and data_dir") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ManifestError(f"{path} is damaged or no gzip file: copy it again") from error
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from error
    return content.removeprefix(BOM_UTF8)  # editors on Windows prepend it


def _items(content: bytes) -> Iterator[tuple[str, Any]]:
    """Yield the place and the line, still packed, of each; of a list the place and the value."""
    if content.lstrip().startswith(b"["):
        try:
            values = json.loads(content)
        except ValueError:
            values = None
        if isinstance(values, list):
            yield from ((f"item {number}", value) for number, value in enumerate(values, start=1))
            return
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.strip():
            yield f"line {number}", line


def _object(item: Any) -> JsonObject:
    value = _parsed(item) if isinstance(item, bytes) else item
    if not isinstance(value, dict):
        raise ValueError(f"must be an object, but is {json.dumps(value)[:40]}")
    return value


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line.decode())
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON ({error.msg} at column {error.colno})") from error


def seconds(row: JsonObject, key: str) -> float | None:
    """Read a number of seconds; None if it is absent.

    Raises:
        ValueError: it is no number.
    """
    value = row.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{key} must be a number of seconds, but is {json.dumps(value)}")
    return float(value)


def label(row: JsonObject, key: str) -> str | None:
    """Read a name, which may be written as a number; None if it is absent.

    Raises:
        ValueError: it is neither.
    """
    value = row.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise ValueError(f"{key} must be a string, but is {json.dumps(value)}")
    return str(value)
