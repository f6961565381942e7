"""The table of predictions that a person reads after an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Prediction:
    """What each decoder heard in one utterance, and how far that is from the reference.

    Attributes:
        id: the utterance.
        reference: what was said; None if unknown.
        hypotheses: decoder name to transcript.
        wer, cer: decoder name to error rate of this utterance, as fractions; empty without a
            reference.
    """

    id: str
    reference: str | None
    hypotheses: Mapping[str, str]
    wer: Mapping[str, float]
    cer: Mapping[str, float]


def prediction_table(rows: Sequence[Prediction]) -> pd.DataFrame:
    """One row for each prediction: id, reference, then hypothesis, WER and CER by decoder.

    Columns are named ``<decoder>``, ``WER_(<decoder>)`` and ``CER_(<decoder>)``; the rates are
    fractions. Decoders stand in the order in which they first appear.
    """
    import pandas as pd

    decoders = list(dict.fromkeys(name for row in rows for name in row.hypotheses))
    columns: dict[str, list[object]] = {
        "id": [row.id for row in rows],
        "reference": [row.reference for row in rows],
    }
    for name in decoders:
        columns[name] = [row.hypotheses.get(name) for row in rows]
    for name in decoders:
        columns[f"WER_({name})"] = [row.wer.get(name) for row in rows]
        columns[f"CER_({name})"] = [row.cer.get(name) for row in rows]
    return pd.DataFrame(columns)
