"""What has been measured: ``results.jsonl``, one JSON object a line.

A line is what a benchmark printed, and before that the date, the command and the commit.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from deepspeech2 import paths
from deepspeech2.paths import ROOT

FOLDER = ROOT / "benchmarks"
RESULTS, PAGE, PLOTS = "results.jsonl", "RESULTS.md", "plots"  # within a folder

Record = dict[str, Any]
Newest = dict[str, dict[str, Record]]
"""By benchmark and machine, in the order of their names."""

PRINTED = ("name", "ours", "theirs", "ratio", "unit", "versions", "machine")
"""Keys that every benchmark prints."""
COMMON = (*PRINTED, "against", "date", "command", "commit", "dirty", "took_seconds")
"""Keys that mean the same in every line; all others are details of one benchmark."""


def read(path: Path) -> list[Record]:
    """Return all records in the order of their lines; none where there is no file.

    Raises:
        ValueError: a line is no record.
    """
    if not path.exists():
        return []
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            try:
                found.append(parse(line))
            except ValueError as error:
                raise ValueError(f"{path.name}, line {number}: {error}; delete it") from None
    return found


def parse(line: str) -> Record:
    """Return the object that a benchmark prints as its last line.

    Raises:
        ValueError: it is something else.
    """
    try:
        found = json.loads(line)
    except json.JSONDecodeError:
        found = None
    if not isinstance(found, dict) or not set(PRINTED) <= found.keys():
        shown = line.strip()[:60]
        raise ValueError(f"expected a JSON object with {', '.join(PRINTED)}, but got {shown!r}")
    return found


def append(path: Path, record: Record) -> None:
    """Add a line; absolute paths in it are cut to their last component."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(without_paths(record)) + "\n")


def without_paths(value: Any) -> Any:
    """Cut every absolute path in the strings of ``value`` to its last component.

    >>> without_paths({"lm": "/home/me/3-gram.arpa", "unit": "frames/s"})
    {'lm': '3-gram.arpa', 'unit': 'frames/s'}
    """
    if isinstance(value, dict):
        return {without_paths(key): without_paths(each) for key, each in value.items()}
    if isinstance(value, list):
        return [without_paths(each) for each in value]
    if isinstance(value, str):
        return paths.without_paths(value)
    return value


def machine(record: Record) -> str:
    """Return a label of a machine, for example ``AMD EPYC, 2 CPUs, NVIDIA H100 80GB HBM3``."""
    found = record["machine"]
    processor, cpus = found.get("processor") or "unknown processor", found.get("cpus")
    label = f"{processor}, {cpus} CPU{'' if cpus == 1 else 's'}"
    return f"{label}, {found['gpu']}" if found.get("gpu") else label


def newest(records: Iterable[Record]) -> Newest:
    """Return the newest record of each benchmark on each machine; of one date the later line."""
    found: dict[tuple[str, str], Record] = {}
    for record in sorted(records, key=lambda record: str(record.get("date", ""))):
        found[record["name"], machine(record)] = record
    result: Newest = {}
    for (name, where), record in sorted(found.items(), key=lambda item: item[0]):
        result.setdefault(name, {})[where] = record
    return result
