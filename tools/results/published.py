"""What others have published: ``docs/published.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from deepspeech2.errors import ManifestError


@dataclass(frozen=True, slots=True)
class Published:
    """A published result.

    Attributes:
        system: its name.
        decoding: greedy, or which language model.
        wer: by test set, in percent.
        source: paper, repository or file.
        url: of the source; None where none was confirmed.
        hours: of training speech.
        parameters: in millions.
        note: what makes it hard to compare.
    """

    system: str
    decoding: str
    wer: dict[str, float]
    source: str
    url: str | None = None
    hours: float | None = None
    parameters: float | None = None
    note: str | None = None


def read(path: Path) -> list[Published]:
    """All of them, in the file's order.

    Raises:
        ManifestError: the file is missing or malformed; names the entry.
    """
    listed = entries(path, "results")
    return [_entry(entry, f"{path}, result {number}") for number, entry in enumerate(listed, 1)]


def entries(path: Path, key: str) -> list[Any]:
    """The list under ``key`` of a YAML file.

    Raises:
        ManifestError: the file cannot be read, or has no such list.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ManifestError(f"{path} cannot be read ({reason}): mend or restore it") from error
    found = content.get(key) if isinstance(content, Mapping) else None
    if not isinstance(found, list):
        raise ManifestError(f"{path} must have a list {key!r}, but has none")
    return found


def _entry(entry: Any, place: str) -> Published:
    known = {each.name for each in fields(Published)}
    if not isinstance(entry, dict) or not set(entry) <= known:
        wrong = sorted(set(entry) - known) if isinstance(entry, dict) else entry
        raise ManifestError(f"{place} takes {', '.join(sorted(known))}, but has {wrong}")
    try:
        found = Published(**entry)
    except TypeError as error:
        raise ManifestError(f"{place} is incomplete: {error}") from error
    rates = found.wer.values() if isinstance(found.wer, dict) else [None]
    if not all(isinstance(rate, int | float) for rate in rates):
        raise ManifestError(f"{place}: wer must be percent by test set, but is {found.wer!r}")
    return found
