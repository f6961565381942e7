"""What is read is what was written, and nothing else passes for a row."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from leaderboard.rows import Result, append, latest, read

from deepspeech2.errors import ManifestError
from deepspeech2.paths import without_paths
from tests.results.made import BEAM, result


def test_rows_come_back(tmp_path: Path) -> None:
    rows = [result(1.0, 0.75), result(4.0, 0.5, **BEAM)]
    file = tmp_path / "new" / "results.jsonl"
    assert read(file, Result) == []
    for row in rows:
        append(file, row)
    assert read(file, Result) == rows


def test_no_absolute_path_gets_in(tmp_path: Path) -> None:
    command = "python train.py -cn=an4 data_dir=/home/me/an4 trainer.save_dir=../runs/a ~/x.yaml"
    options = {"lm": "/mnt/models/own.arpa", "beam_size": 50}
    append(tmp_path / "r.jsonl", result(command=command, decoder_options=options))
    (row,) = read(tmp_path / "r.jsonl", Result)
    assert row.command == "python train.py -cn=an4 data_dir=an4 trainer.save_dir=../runs/a x.yaml"
    assert row.decoder_options == {"lm": "own.arpa", "beam_size": 50}
    for kept in ("https://www.openslr.org/12", "frames/s", "data/lm/own.arpa"):
        assert without_paths(kept) == kept


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("not json", "line 2: Invalid JSON"),
        ("[1]", r"line 2: Input should be an object, but is \[1\]"),
        ({"wer": 0.1}, "line 2: wer: Input should be an object, but is 0.1"),
        ({"recipe": 3}, "line 2: recipe: .* valid string, but is 3"),
        ({"utterances": True}, "line 2: utterances: .* valid integer, but is true"),
        ({"colour": "red"}, "line 2: colour: Unexpected keyword"),
        ({"training": None}, "line 2: training: Input should be an object, but is null"),
    ],
)
def test_what_is_no_row_is_named(
    tmp_path: Path, change: str | dict[str, object], message: str
) -> None:
    file = tmp_path / "results.jsonl"
    append(file, result())
    line = file.read_text()
    file.write_text(
        line + (change if isinstance(change, str) else json.dumps(json.loads(line) | change))
    )
    with pytest.raises(ManifestError, match=message):
        read(file, Result)


def test_of_one_measurement_the_last_counts() -> None:
    first, other = result(wer=0.6), result(4.0, wer=0.4)
    beam = replace(first, decoder="BeamSearch", decoder_options={"beam_size": 10})
    again = replace(first, wer=other.wer, date="2026-02-01")
    assert latest([first, beam, other, again]) == [again, beam, other]
    told = {**beam.decoder_options, "hotwords": [], "hotword_weight": 8.0, "prior_weight": 0.0}
    newer = replace(beam, decoder_options={**told, "prior": [0.5, 0.5]})
    assert latest([beam, newer]) == [newer]
    hot = replace(beam, decoder_options={**told, "hotwords": ["ada"]})
    assert latest([beam, newer, hot]) == [newer, hot]
