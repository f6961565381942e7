"""Predictions that are too unsure to be used."""

from __future__ import annotations

from deepspeech2.metrics import CorpusScore


class Gate:
    """Tells which predictions to reject, and counts them.

    Args:
        reject_below: a prediction whose confidence is below it is rejected; None accepts all.
    """

    def __init__(self, reject_below: float | None) -> None:
        self.reject_below = reject_below
        self._n_rejected = 0
        self._n_all = 0
        self._accepted = CorpusScore()
        self._everything = CorpusScore()

    def judge(self, text: str, reference: str | None, confidence: float) -> dict[str, bool]:
        """What a prediction's file says of it: ``rejected``, or nothing where all are accepted."""
        if self.reject_below is None:
            return {}
        rejected = confidence < self.reject_below
        self._n_all += 1
        self._n_rejected += rejected
        if reference is not None:
            self._everything.add(reference, text)
            if not rejected:
                self._accepted.add(reference, text)
        return {"rejected": rejected}

    def closing_line(self) -> str:
        """How many were rejected, and the WER of the others."""
        counted = (
            f"{self._n_rejected} of {self._n_all} rejected, with a confidence below"
            f" {self.reject_below or 0:g}"
        )
        accepted, everything = self._accepted, self._everything
        if not everything.utterances:
            return counted
        if not accepted.utterances:
            return f"{counted}; nothing accepted has a reference"
        share = accepted.words.reference / max(everything.words.reference, 1)
        return (
            f"{counted}; accepted: {accepted.utterances} with {100 * share:.1f} % of the words, WER"
            f" {100 * accepted.wer:.2f} % (all: {100 * everything.wer:.2f} %)"
        )
