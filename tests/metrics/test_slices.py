"""Slices by a field: names stay apart, numbers go into ranges."""

from __future__ import annotations

import pytest

from deepspeech2.metrics.analysis import analyse, slices
from deepspeech2.metrics.predictions import Entry, Predictions

IDS = [84, 174, 251, 422, 652, 777, 1272, 1462, 1673, 1919, 1988, 1993, 2035, 2078, 2086, 2277]


@pytest.mark.parametrize("field", ["speaker", "Speaker_ID", "id", "chapter", "channel"])
@pytest.mark.parametrize("kind", [int, str])
def test_names_that_are_numbers_are_not_put_into_ranges(field: str, kind: type) -> None:
    entries = [Entry(f"u{n}", "a", "a", {field: kind(IDS[n % 16])}) for n in range(32)]
    found = slices(analyse(Predictions(entries), str), field)
    assert [(each.value, each.score.utterances) for each in found] == [(str(n), 2) for n in IDS]


@pytest.mark.parametrize("field", ["duration", "confidence", "snr"])
def test_numbers_of_many_values_are(field: str) -> None:
    entries = [Entry(f"u{n}", "a", "a", {field: n + 0.5}) for n in range(32)]
    found = slices(analyse(Predictions(entries), str), field)
    assert 3 < len(found) < 9
    assert sum(each.score.utterances for each in found) == 32
