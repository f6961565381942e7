"""Which word of a reference became which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rapidfuzz.distance import Levenshtein


@dataclass(frozen=True, slots=True)
class Step:
    """A word or character of the reference and of the hypothesis; None where one has none."""

    reference: str | None
    hypothesis: str | None

    @property
    def kind(self) -> str:
        """equal, substitution, deletion or insertion."""
        if self.reference is None:
            return "insertion"
        if self.hypothesis is None:
            return "deletion"
        return "equal" if self.reference == self.hypothesis else "substitution"


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> list[Step]:
    """The steps of one way with the fewest edits."""
    steps: list[Step] = []
    for part in Levenshtein.opcodes(reference, hypothesis):
        pairs = zip_longest(
            reference[part.src_start : part.src_end], hypothesis[part.dest_start : part.dest_end]
        )
        steps += [Step(ours, theirs) for ours, theirs in pairs]
    return steps


def align_both(
    reference: Sequence[str], first: Sequence[str], second: Sequence[str]
) -> list[tuple[str | None, str | None, str | None]]:
    """(reference, first, second) word by word, both hypotheses aligned to the reference.

    >>> align_both("a b".split(), "a x b".split(), "a".split())
    [('a', 'a', 'a'), (None, 'x', None), ('b', 'b', None)]
    """
    places: list[list[tuple[list[str], str | None]]] = []  # what is put in, then what a word became
    for hypothesis in (first, second):
        own: list[tuple[list[str], str | None]] = []
        extra: list[str] = []
        for step in align(reference, hypothesis):
            if step.reference is None:
                extra.append(step.hypothesis or "")
            else:
                own.append((extra, step.hypothesis))
                extra = []
        places.append([*own, (extra, None)])
    found: list[tuple[str | None, str | None, str | None]] = []
    for word, (before, ours), (inserted, theirs) in zip([*reference, None], *places, strict=True):
        found += [(None, *pair) for pair in zip_longest(before, inserted)]
        if word is not None:
            found.append((word, ours, theirs))
    return found


def side_by_side(steps: Sequence[Step], width: int = 100) -> str:
    """Reference above hypothesis, with the kind of each edit below, in lines of ``width``."""
    marks = {"equal": "", "substitution": "S", "deletion": "D", "insertion": "I"}
    blocks: list[list[tuple[str, str, str]]] = [[]]
    used = 0
    for step in steps:
        cell = (step.reference or "", step.hypothesis or "", marks[step.kind])
        size = max(map(len, cell)) + 1
        if used + size > width - 5 and blocks[-1]:
            blocks.append([])
            used = 0
        blocks[-1].append(cell)
        used += size
    lines = []
    for block in blocks:
        sizes = [max(map(len, cell)) for cell in block]
        for row, title in enumerate(("REF", "HYP", "   ")):
            texts = [
                (cell[row] or ("*" * size if row < 2 else "")).ljust(size)
                for cell, size in zip(block, sizes, strict=True)
            ]
            lines.append(f"{title}: {' '.join(texts)}".rstrip().replace("   :", "    ", 1))
    return "\n".join(line for line in lines if line.strip())
