"""Edits between a reference and a hypothesis: their alignment, their counts, a corpus' rates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

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
    """Count the edits between the words of two texts; any white space separates words."""
    return _edits(reference.split(), hypothesis.split())


def character_edits(reference: str, hypothesis: str) -> EditCounts:
    """Count the edits between the characters of two texts, without white space around them."""
    return _edits(reference.strip(), hypothesis.strip())


def _edits(reference: Sequence[str], hypothesis: Sequence[str]) -> EditCounts:
    kinds = [step[0] for step in Levenshtein.editops(reference, hypothesis).as_list()]
    replaced, deleted, inserted = map(kinds.count, ("replace", "delete", "insert"))
    return EditCounts(replaced, deleted, inserted, len(reference))


@dataclass(slots=True)
class CorpusScore:
    """Sums over utterances, from which every rate follows.

    ``wer`` and ``cer`` are corpus level: all edits over the length of all references. The mean
    over utterances weighs a short utterance like a long one and is given beside them.

    Attributes:
        words, characters: edit counts of the corpus.
        utterances: how many were added.
        wer_sum, cer_sum: sums of the utterances' own rates.
    """

    words: EditCounts = field(default_factory=EditCounts)
    characters: EditCounts = field(default_factory=EditCounts)
    utterances: int = 0
    wer_sum: float = 0.0
    cer_sum: float = 0.0

    @classmethod
    def from_pairs(cls, pairs: Iterable[tuple[str, str]]) -> CorpusScore:
        """Score (reference, hypothesis) pairs."""
        score = cls()
        for reference, hypothesis in pairs:
            score.add(reference, hypothesis)
        return score

    def add(self, reference: str, hypothesis: str) -> None:
        """Count one utterance, its texts as they are: normalise both before."""
        self.count(word_edits(reference, hypothesis), character_edits(reference, hypothesis))

    def count(self, words: EditCounts, characters: EditCounts) -> None:
        """Add the edits of one utterance."""
        self.words += words
        self.characters += characters
        self.utterances += 1
        self.wer_sum += words.rate
        self.cer_sum += characters.rate

    def __add__(self, other: CorpusScore) -> CorpusScore:
        """The score of both corpora together, for example of two ranks."""
        return CorpusScore(
            self.words + other.words,
            self.characters + other.characters,
            self.utterances + other.utterances,
            self.wer_sum + other.wer_sum,
            self.cer_sum + other.cer_sum,
        )

    @property
    def wer(self) -> float:
        """All word edits over all reference words, as a fraction."""
        return self.words.rate

    @property
    def cer(self) -> float:
        """All character edits over all reference characters, as a fraction."""
        return self.characters.rate

    @property
    def mean_utterance_wer(self) -> float:
        """The mean of the utterances' word error rates; 0 without utterances."""
        return self.wer_sum / max(self.utterances, 1)

    @property
    def mean_utterance_cer(self) -> float:
        """The mean of the utterances' character error rates; 0 without utterances."""
        return self.cer_sum / max(self.utterances, 1)


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
    """Return the steps of one alignment with the fewest edits."""
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
    """Return (reference, first, second) word by word, both hypotheses aligned to the reference.

    >>> align_both("a b".split(), "a x b".split(), "a".split())
    [('a', 'a', 'a'), (None, 'x', None), ('b', 'b', None)]
    """
    # of each hypothesis, by word of the reference: what it inserts before, and what it has there
    aligned: list[list[tuple[list[str], str | None]]] = []
    for hypothesis in (first, second):
        own: list[tuple[list[str], str | None]] = []
        inserted: list[str] = []
        for step in align(reference, hypothesis):
            if step.reference is None:
                inserted.append(step.hypothesis or "")
            else:
                own.append((inserted, step.hypothesis))
                inserted = []
        aligned.append([*own, (inserted, None)])
    rows: list[tuple[str | None, str | None, str | None]] = []
    for word, (before, ours), (other, theirs) in zip([*reference, None], *aligned, strict=True):
        rows += [(None, *pair) for pair in zip_longest(before, other)]
        if word is not None:
            rows.append((word, ours, theirs))
    return rows


def side_by_side(steps: Sequence[Step], width: int = 100) -> str:
    """Return the reference above the hypothesis and the kinds of edits, in lines of ``width``."""
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
        for row, title in enumerate(("REF: ", "HYP: ", "     ")):
            texts = [
                (cell[row] or ("*" * size if row < 2 else "")).ljust(size)
                for cell, size in zip(block, sizes, strict=True)
            ]
            lines.append(f"{title}{' '.join(texts)}".rstrip())
    return "\n".join(line for line in lines if line)
