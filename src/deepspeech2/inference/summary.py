"""The lines and tables at the end of an inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deepspeech2.evaluation import Evaluation
from deepspeech2.metrics import CorpusScore
from deepspeech2.tables import text_table

SHOWN = 20
"""Transcripts that are printed; the files contain all."""
_CAUSES = {
    "acoustic": "acoustic",
    "language": "language",
    "both": "both models",
    "search": "search",
    "unknown": "unknown words",
}


def transcript_lines(transcripts: Sequence[tuple[str, str]]) -> str:
    """List (utterance id, text) pairs, sorted, up to ``SHOWN`` of them."""
    lines = [f"{name}: {text or '(nothing heard)'}" for name, text in sorted(transcripts)[:SHOWN]]
    if len(transcripts) > SHOWN:
        lines.append(f"... and {len(transcripts) - SHOWN} more")
    return "\n".join(lines)


def score_table(evaluations: Mapping[str, Evaluation]) -> str:
    """Tabulate WER, CER and the user's own metrics by part and decoder; empty without references.

    Rates are corpus level. If a decoder gave several hypotheses, a row has the rates of the best.
    """
    rows: list[tuple[str, ...]] = []
    measured = [each for e in evaluations.values() for each in e.measured.values()]
    metrics = list(dict.fromkeys(metric for each in measured for metric in each))
    for part, evaluation in evaluations.items():
        for name, score in evaluation.scores.items():
            if not score.utterances:
                continue
            own = evaluation.measured.get(name, {})
            cells = (f"{own[metric]:.4g}" if metric in own else "-" for metric in metrics)
            rows.append((*_rates(part, name, score), *cells))
            oracle = evaluation.oracles.get(name)
            if oracle is not None and oracle.utterances and evaluation.several[name]:
                rates = _rates(part, f"{name}, best of n-best", oracle)
                rows.append((*rates, *("-" for _ in metrics)))
    header = ("part", "decoder", "utterances", "WER", "CER", *metrics)
    return text_table(header, rows, n_left=2, rule=True) if rows else ""


def _rates(part: str, name: str, score: CorpusScore) -> tuple[str, ...]:
    return part, name, str(score.utterances), f"{100 * score.wer:.2f} %", f"{100 * score.cer:.2f} %"


def budget_table(evaluations: Mapping[str, Evaluation]) -> str:
    """Tabulate what caused the WER of each decoder, in points; empty without references.

    Causes are only known for what this run has recognised, or an earlier one with the same
    references; if the scores cover more, the table shows how much is covered.
    """
    rows: list[tuple[str, ...]] = []
    partial = False
    for part, evaluation in evaluations.items():
        for name, budget in evaluation.budgets.items():
            if budget.words:
                shares = [budget.share(cause) for cause in _CAUSES]
                cells = (f"{100 * share:.2f}" for share in (sum(shares), *shares))
                scored = evaluation.scores[name].words.reference
                covered = f"{budget.words} of {scored}" if budget.words < scored else f"{scored}"
                partial |= budget.words < scored
                rows.append((part, name, *cells, covered))
    if not rows:
        return ""
    note = (
        "\nAn earlier run recognised the rest with other references, or did not note the causes of"
        "\nits errors: this WER covers the others alone (inferencer.overwrite=true covers all)."
    )
    header = ("part", "decoder", "WER", *_CAUSES.values(), "reference words")
    table = text_table(header, rows, n_left=2, rule=True)
    return f"Points of WER owed to\n{table}{note * partial}"


def hot_word_table(evaluations: Mapping[str, Evaluation]) -> str:
    """Tabulate in how many utterances each hot phrase was recognised; empty without phrases."""
    rows = [
        (part, phrase, str(count))
        for part, evaluation in evaluations.items()
        for counts in evaluation.hot.values()
        for phrase, count in counts.most_common()
    ]
    if not rows:
        return "No hot phrase was heard." if any(e.hot for e in evaluations.values()) else ""
    return text_table(("part", "hot phrase", "utterances"), rows, n_left=2, rule=True)


class Rejections:
    """Decide which predictions are rejected, and count them.

    Args:
        reject_below: a prediction of less confidence is rejected; None accepts all.
    """

    def __init__(self, reject_below: float | None) -> None:
        self.reject_below = reject_below
        self._n_rejected = 0
        self._n_all = 0
        self._accepted = CorpusScore()
        self._everything = CorpusScore()

    def judge(self, text: str, reference: str | None, confidence: float) -> dict[str, bool]:
        """Return ``rejected`` for a prediction's file; empty if all are accepted."""
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

    def summary(self) -> str:
        """Say how many were rejected, and the WER of the others."""
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
