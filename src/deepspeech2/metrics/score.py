"""Error rates of a corpus."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from deepspeech2.metrics.edits import EditCounts, character_edits, word_edits


@dataclass(slots=True)
class CorpusScore:
    """Sums over utterances, from which every rate follows.

    ``wer`` and ``cer`` are corpus level: all edits over the length of all references. The mean
    over utterances weighs a short utterance like a long one and is kept beside them.

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
        """The score of (reference, hypothesis) pairs."""
        score = cls()
        for reference, hypothesis in pairs:
            score.add(reference, hypothesis)
        return score

    def add(self, reference: str, hypothesis: str) -> None:
        """Count one utterance, as its texts stand: normalise both before."""
        words = word_edits(reference, hypothesis)
        characters = character_edits(reference, hypothesis)
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
