"""Tables for a terminal and for Markdown."""

from __future__ import annotations

from deepspeech2.escaping import markdown_cell, one_line

Table = tuple[list[str], list[list[str]]]
"""Header and rows."""


def plain(title: str, table: Table) -> str:
    """Columns under a title."""
    header, rows = table[0], [[one_line(cell) for cell in row] for row in table[1]]
    sizes = [max(len(row[place]) for row in [header, *rows]) for place in range(len(header))]
    lines = [
        "  ".join(cell.ljust(size) for cell, size in zip(row, sizes, strict=True)).rstrip()
        for row in [header, *rows]
    ]
    return "\n".join([title, *lines])


def markdown(title: str, table: Table) -> str:
    """A Markdown table, under a heading if there is a title."""
    header, rows = table
    lines = [header, ["---"] * len(header), *rows]
    text = "\n".join("| " + " | ".join(markdown_cell(cell) for cell in row) + " |" for row in lines)
    return f"### {title}\n\n{text}" if title else text
