"""Edit counts between a reference and a hypothesis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein


@dataclass(frozen=True, slots=True)
class EditCounts:
    """Edits that turn a reference into a hypothesis, with the reference's length.

    Counts add up: a corpus has the sum of the counts of its utterances.
    """

    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    reference: int = 0

    def __add__(self, other: EditCounts) -> EditCounts:
        return EditCounts(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.reference + other.reference,
        )

    @property
    def errors(self) -> int:
        """Substitutions, deletions and insertions together."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors over the length of the reference; an empty reference counts as of length 1.

        So an empty reference gives 0 for an empty hypothesis and otherwise the number of
        insertions, as in jiwer 4.
        """
        return self.errors / max(self.reference, 1)


def word_edits(reference: str, hypothesis: str) -> EditCounts:
    """Edits between the words of two texts; any white space separates words."""
    return _edits(reference.split(), hypothesis.split())


def character_edits(reference: str, hypothesis: str) -> EditCounts:
    """Edits between the characters of two texts, white space around them not counted."""
    return _edits(reference.strip(), hypothesis.strip())


def _edits(reference: Sequence[str], hypothesis: Sequence[str]) -> EditCounts:
    kinds = [step[0] for step in Levenshtein.editops(reference, hypothesis).as_list()]
    replaced, deleted, inserted = map(kinds.count, ("replace", "delete", "insert"))
    return EditCounts(replaced, deleted, inserted, len(reference))
