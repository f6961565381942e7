"""What an import mapped and what it did not, for people."""

from __future__ import annotations

from deepspeech2.escaping import printable
from deepspeech2.extras.interchange.converted import Converted
from deepspeech2.extras.interchange.mapping import Move


def table(moves: list[Move]) -> list[str]:
    """A line for each weight: theirs, ours, its shape, what was done."""
    rows = [
        (move.source or "-", move.target, "x".join(map(str, move.shape)) or "1", move.note)
        for move in moves
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [
        f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]}".rstrip()
        for row in rows
    ]


def summary(converted: Converted) -> list[str]:
    """What was taken, made and left, in a few lines."""
    taken = [move for move in converted.moves if move.source is not None]
    made = len(converted.moves) - len(taken)
    # statistics of batch normalisation are no parameters
    n_parameters = sum(
        weight.numel() for key, weight in converted.weights.items() if "running_" not in key
    )
    lines = [
        f"{converted.kind}: {n_parameters:,} parameters; {len(taken)} of its weights have a place"
        f" here{f', {made} were made' if made else ''}"
    ]
    if converted.unused:
        lines.append(f"left out: {', '.join(map(printable, converted.unused))}")
    return lines + [f"note: {note}" for note in converted.notes]
