"""Tables of text: aligned columns for a terminal, and Markdown. Cells can contain anything."""

from __future__ import annotations

from collections.abc import Sequence

from deepspeech2.escaping import markdown_cell, one_line


def text_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    n_left: int | None = None,
    rule: bool = False,
) -> str:
    """Return a header and rows as columns side by side.

    Args:
        n_left: how many columns are aligned to the left, the others to the right; None: all.
        rule: draw a line of dashes below the header.

    >>> print(text_table(["part", "WER"], [["dev", "9.5"]], n_left=1, rule=True))
    part  WER
    ----  ---
    dev   9.5
    """
    lines = [[one_line(cell) for cell in line] for line in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    if rule:
        lines.insert(1, ["-" * width for width in widths])
    n_left = len(header) if n_left is None else n_left
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place < n_left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def markdown_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[int] = (),
    padded: bool = False,
) -> str:
    """Return a header and rows as a Markdown table, without a line break at its end.

    Args:
        right: places of the columns that are aligned to the right.
        padded: make the columns as wide as their cells, to be read in a terminal too.

    >>> print(markdown_table(["a|b", "n"], [["x", "10"]], right=[1], padded=True))
    | a\\|b |  n |
    | ---- | -: |
    | x    | 10 |
    """
    lines = [[markdown_cell(cell) for cell in line] for line in (header, *rows)]
    rule = ["---:" if place in right else "---" for place in range(len(header))]
    if padded:
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        rule = [
            "-" * (width - 1) + ":" if place in right else "-" * width
            for place, width in enumerate(widths)
        ]
        lines = [
            [
                cell.rjust(width) if place in right else cell.ljust(width)
                for place, (cell, width) in enumerate(zip(line, widths, strict=True))
            ]
            for line in lines
        ]
    return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:]))
