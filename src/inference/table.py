"""The table at the end of an inference."""

from __future__ import annotations

from collections.abc import Mapping

from src.evaluation import Evaluation


def score_table(evaluations: Mapping[str, Evaluation]) -> str:
    """WER and CER of each part under each decoder, as aligned text.

    Rates are corpus level. A part without references has dashes.
    """
    rows = [("part", "decoder", "utterances", "WER", "CER")]
    for part, evaluation in evaluations.items():
        for name, score in evaluation.scores.items():
            known = score.utterances > 0
            rows.append(
                (
                    part,
                    name,
                    str(score.utterances) if known else "no reference",
                    f"{100 * score.wer:.2f} %" if known else "-",
                    f"{100 * score.cer:.2f} %" if known else "-",
                )
            )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)
