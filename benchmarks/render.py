"""From ``results.jsonl`` to ``RESULTS.md`` and its plots; ``python -m benchmarks.bench --render``.

The same records give the same bytes: no date and no machine but those of the records get in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import charts
from benchmarks.records import COMMON, PAGE, PLOTS, RESULTS, Newest, Record, newest, read
from deepspeech2.tables import markdown_table

TOP = """\
# Results

This page is generated from [results.jsonl](results.jsonl): `make bench` measures, adds to that
file and renders; `python -m benchmarks.bench --render` renders alone. Do not edit it.
[README.md](README.md) says what each benchmark compares.

Of each benchmark the newest measurement on each machine is shown. A ratio above 1 means that ours
is better. The load is that of the last minute before the benchmark ended, its own included.
"""

LABELS = {
    "one": "frames/s, one thread",
    "all": "frames/s, all cores",
    "wer": "WER in %",
    "cache": "cache on the disk",
    "files": "plain files",
}
"""Of keys whose own words do not say enough."""

Grid = Mapping[str, Mapping[str, Any]]
"""Cells by row and column."""


def write(folder: Path) -> Path:
    """Render the records in ``folder`` to its page and its plots; return the page.

    Raises:
        ValueError: a line of the results is no record.
    """
    found = newest(read(folder / RESULTS))
    plots = charts.draw(found, folder / PLOTS)
    page = folder / PAGE
    page.write_text(render(found, plots), encoding="utf-8")
    return page


def render(found: Newest, plots: Mapping[str, str]) -> str:
    """The page as Markdown.

    Args:
        found: newest records, by benchmark and machine.
        plots: captions, by the file's name within the folder of plots.
    """
    if not found:
        return f"{TOP}\nNothing has been measured yet.\n"
    pictures = [f"![{caption}]({PLOTS}/{name})" for name, caption in plots.items()]
    sections = [section(name, machines) for name, machines in found.items()]
    return "\n".join([TOP, overview(found), *(f"{each}\n" for each in pictures), *sections])


def overview(found: Newest) -> str:
    """One row for each benchmark and machine."""
    columns = ("benchmark", "machine", "ours", "theirs", "unit", "ratio", "held against", "date")
    rows = [
        (
            f"[{name}](#{name})",
            where,
            *(record[key] for key in ("ours", "theirs", "unit", "ratio")),
            record.get("against"),
            str(record.get("date", ""))[:10],
        )
        for name, machines in found.items()
        for where, record in machines.items()
    ]
    return table(columns, rows)


def section(name: str, machines: Mapping[str, Record]) -> str:
    """A benchmark: its machines side by side, then the tables of each."""
    sides = [facts(record) for record in machines.values()]
    keys = dict.fromkeys(key for side in sides for key in side)
    rows = [(key, *(side.get(key) for side in sides)) for key in keys]
    parts = [f"## {name}\n", table(("", *machines), rows)]
    for where, record in machines.items():
        for title, grid in grids(record):
            place = f" ({where})" if len(machines) > 1 else ""
            parts += [f"**{title}**{place}\n", grid_table(grid)]
    return "\n".join(parts)


def facts(record: Record) -> dict[str, Any]:
    """What can be said of a measurement in one cell each."""
    versions, where = record["versions"], record["machine"]
    commit, took = record.get("commit"), record.get("took_seconds")
    if commit and record.get("dirty"):
        commit = f"{commit} and uncommitted changes"
    return {
        "ours": record["ours"],
        "theirs": record["theirs"],
        "unit": record["unit"],
        "ratio": record["ratio"],
        "held against": record.get("against"),
        "date": record.get("date"),
        "command": f"`{record['command']}`" if record.get("command") else None,
        "commit": commit,
        "took": None if took is None else f"{took:,.0f} s",
        "versions": ", ".join(f"{package} {version}" for package, version in versions.items()),
        "load": where.get("load"),
        "threads of torch": where.get("threads"),
        "platform": where.get("platform"),
    } | {label(key): value for key, value in details(record).items() if not _is_table(value)}


def details(record: Record) -> dict[str, Any]:
    """What only this benchmark states."""
    return {key: value for key, value in record.items() if key not in COMMON}


def grids(record: Record) -> Iterator[tuple[str, Grid]]:
    """Titled tables of a record's nested details; flat ones with the same rows become one."""
    flat: dict[tuple[str, ...], dict[str, Mapping[str, Any]]] = {}
    for key, value in details(record).items():
        if not _is_table(value):
            continue
        if any(_is_table(each) for each in value.values()):
            yield from nested("" if key == "all" else label(key), value)
        else:
            flat.setdefault(tuple(value), {})[label(key)] = value
    for rows, columns in flat.items():
        cells = {row: {name: column[row] for name, column in columns.items()} for row in rows}
        yield ", ".join(columns), cells


def nested(title: str, value: Mapping[str, Any]) -> Iterator[tuple[str, Grid]]:
    """Tables of mappings in mappings: the innermost two levels are rows and columns."""
    inner = (each for row in value.values() if _is_table(row) for each in row.values())
    if not any(map(_is_table, inner)):
        yield title, {key: row if _is_table(row) else {"": row} for key, row in value.items()}
        return
    for key, each in value.items():
        below = f"{title}, {label(key)}" if title else label(key)
        yield from nested(below, each if _is_table(each) else {"": each})


def grid_table(grid: Grid) -> str:
    """Markdown of a grid; a cell that is absent stays a dash."""
    columns = list(dict.fromkeys(column for row in grid.values() for column in row))
    rows = [(label(row), *(cells.get(each) for each in columns)) for row, cells in grid.items()]
    return table(("", *map(label, columns)), rows)


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a Markdown table of any values, which ends with a line break."""
    return f"{markdown_table(columns, [list(map(shown, row)) for row in rows])}\n"


def shown(value: Any) -> str:
    """Return a cell: thousands are separated, an unknown value is a dash.

    >>> [shown(value) for value in (411127, 0.019, None, True, [1.5, 2])]
    ['411,127', '0.019', '-', 'yes', '1.5, 2']
    """
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(map(shown, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{label(key)} {shown(each)}" for key, each in value.items())
    return str(value)


def label(key: str) -> str:
    """A key as words; what has blanks already is a name and stays as it is."""
    return LABELS.get(key, key if " " in key else key.replace("_", " "))


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping) and bool(value)
