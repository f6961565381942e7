"""The tables at the end of an inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deepspeech2.evaluation import Evaluation
from deepspeech2.metrics import CorpusScore
from deepspeech2.tables import text_table

SHOWN = 20
"""Transcripts that are printed; the files hold all."""


def transcript_lines(heard: Sequence[tuple[str, str]]) -> str:
    """What was heard, from (utterance id, text) pairs: a line each, sorted, as far as ``SHOWN``."""
    lines = [f"{name}: {text or '(nothing heard)'}" for name, text in sorted(heard)[:SHOWN]]
    if len(heard) > SHOWN:
        lines.append(f"... and {len(heard) - SHOWN} more")
    return "\n".join(lines)


def score_table(evaluations: Mapping[str, Evaluation]) -> str:
    """WER and CER of each part under each decoder, as aligned text; empty without references.

    Rates are corpus level. Where a decoder gave several
    hypotheses, a line says what the best of them would have had.
    """
    header = ("part", "decoder", "utterances", "WER", "CER")
    rows: list[tuple[str, ...]] = []
    for part, evaluation in evaluations.items():
        for name, score in evaluation.scores.items():
            if not score.utterances:
                continue
            rows.append(_rates(part, name, score))
            oracle = evaluation.oracles.get(name)
            if oracle is not None and oracle.utterances and evaluation.several[name]:
                rows.append(_rates(part, f"{name}, best of n-best", oracle))
    return text_table(header, rows, n_left=2, rule=True) if rows else ""


def budget_table(evaluations: Mapping[str, Evaluation]) -> str:
    """What caused the WER of each decoder, in points; empty without references.

    Causes are found while the network listens. Where the scores cover more, as what an earlier run
    has recognised without a reference, the table says how much it covers.
    """
    causes = {
        "acoustic": "acoustic",
        "language": "language",
        "both": "both models",
        "search": "search",
        "unknown": "unknown words",
    }
    header = ("part", "decoder", "WER", *causes.values(), "reference words")
    rows: list[tuple[str, ...]] = []
    partial = False
    for part, evaluation in evaluations.items():
        for name, budget in evaluation.budgets.items():
            if budget.words:
                shares = [budget.share(cause) for cause in causes]
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
    return (
        "Points of WER owed to\n" + text_table(header, rows, n_left=2, rule=True) + note * partial
    )


def hot_word_table(evaluations: Mapping[str, Evaluation]) -> str:
    """Which hot phrases were heard, and in how many utterances; empty without such."""
    rows: list[tuple[str, ...]] = []
    for part, evaluation in evaluations.items():
        for heard in evaluation.hot.values():
            rows += [(part, phrase, str(count)) for phrase, count in heard.most_common()]
    if not rows:
        return "No hot phrase was heard." if any(e.hot for e in evaluations.values()) else ""
    return text_table(("part", "hot phrase", "utterances"), rows, n_left=2, rule=True)


def _rates(part: str, name: str, score: CorpusScore) -> tuple[str, ...]:
    return part, name, str(score.utterances), f"{100 * score.wer:.2f} %", f"{100 * score.cer:.2f} %"
