"""The benchmark of scoring: both sides score the same and find the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import scoring


@pytest.mark.parametrize("lines", [True, False])
def test_both_find_the_same(tmp_path: Path, lines: bool) -> None:
    path = scoring.make(tmp_path, 40, lines=lines)
    assert (len(path.read_text().splitlines()) if lines else len(list(path.iterdir()))) == 40
    assert 0.2 < scoring.plain(path)["wer"] < 0.5
    assert scoring.compared(path, 1).keys() == {"ours", "jiwer"}


def test_different_rates_are_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def took(*arguments: str) -> tuple[dict[str, float], str]:
        ours = arguments[0] == "calc_wer_cer.py"
        return {"processor": 1.0}, json.dumps({"wer": 0.5 if ours else 0.25, "cer": 0.0})

    monkeypatch.setattr(scoring, "took", took)
    with pytest.raises(RuntimeError, match=r"wer: 0\.5 of ours, 0\.25 of jiwer"):
        scoring.compared(tmp_path, 1)
