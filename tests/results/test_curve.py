"""The learning curve of recorded runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from leaderboard import curve
from leaderboard.rows import Published, Result, append

from deepspeech2.errors import ManifestError
from tests.results.conftest import Done
from tests.results.made import BEAM, result

HOURS = (1.0, 2.0, 4.0, 7.65)


def runs(**changes: object) -> list[Result]:
    return [result(hours, 0.9 * hours**-0.35, **changes) for hours in HOURS]


THEIRS = [
    Published("A", "greedy", {"test-clean": 5.3, "test-other": 13.0}, "a", hours=11940),
    Published("B", "greedy", {"dev-clean": 7}, "b", hours=960),
    Published("C", "greedy", {"test-clean": 9}, "c"),
]


def test_the_law_and_what_it_foretells() -> None:
    found = curve.fit(curve.choose(runs()[::-1], {}), THEIRS)
    assert [row.training.hours for row in found.rows] == list(HOURS)
    assert found.predicted[960].value == pytest.approx(0.9 * 960**-0.35, rel=1e-4)
    assert found.published == [("A", 11940, 5.3)]  # of the whole of what test-clean-35m is part
    text = curve.tables(found)
    assert "WER = 90.00 % * hours^-0.350" in text
    assert "| 7.65 | 44.15 (39.74 to 48.57) | 44.15 | hours_7.65 |" in text
    assert "| 100 | 17.96 (17.96 to 17.96) |" in text
    assert "| 960 | 8.14 (8.14 to 8.14) |" in text


def test_runs_that_differ_in_more_than_hours_are_refused() -> None:
    both = runs() + runs(**BEAM)
    with pytest.raises(ManifestError, match=r"differ in decoder \(Argmax, BeamSearchLM\): choose"):
        curve.choose(both, {})
    chosen = curve.choose(both, {"decoder": "BeamSearchLM"})
    assert {row.decoder for row in chosen} == {"BeamSearchLM"}
    larger = replace(result(3.0), parameters=2_000_000)
    with pytest.raises(ManifestError, match="differ in parameters"):
        curve.choose([*runs(), larger], {})
    assert len(curve.choose([*runs(), replace(larger, recipe="x")], {}, recipe="hours")) == 4


@pytest.mark.parametrize(
    ("where", "recipe", "message"),
    [
        ({"colour": "red"}, None, "--where colour=red is unknown: it takes test_set, decoder"),
        ({"decoder": "Beam"}, None, r"--where decoder=Beam leaves no run: there are \['Argmax'\]"),
        ({}, "small", "no run whose name begins with 'small' is recorded"),
    ],
)
def test_nothing_left(where: dict[str, str], recipe: str | None, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        curve.choose(runs(), where, recipe)


def test_nothing_recorded() -> None:
    for where in ({}, {"decoder": "Argmax"}):
        with pytest.raises(ManifestError, match=r"no result is recorded: .*results.py record"):
            curve.choose([], where)


def test_too_few_runs() -> None:
    with pytest.raises(
        ManifestError, match="at least 3 runs with different hours, but there are 2"
    ):
        curve.fit(runs()[:2], THEIRS)


def test_picture_and_page_are_the_same_twice(tmp_path: Path) -> None:
    rows = [replace(row, wer=replace(row.wer, value=row.wer.value * (1 + 0.02 * (index % 2))))
            for index, row in enumerate(runs())]  # fmt: skip
    for name in ("a/curve", "b/curve"):
        curve.write(curve.fit(rows, THEIRS), tmp_path / name)
    for ending in (".png", ".md"):
        first, second = ((tmp_path / folder / f"curve{ending}").read_bytes() for folder in "ab")
        assert first == second
    assert "![WER over hours](curve.png)" in (tmp_path / "a/curve.md").read_text()
    assert (tmp_path / "a/curve.png").stat().st_size > 10_000


def test_what_is_drawn() -> None:
    (axes,) = curve.draw(curve.fit(runs(), THEIRS)).axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    labels = axes.get_legend_handles_labels()[1]
    assert labels[-2:] == ["A", "ours, with 95 % over utterances"]
    low, high = axes.get_ylim()
    assert low < 5.3 < 90 < high
    assert axes.get_xlim()[1] > 11940


def test_the_command(quick_script: Callable[..., Done], tmp_path: Path) -> None:
    for row in runs():
        append(tmp_path / "results.jsonl", row)
    words = ["--results", str(tmp_path / "results.jsonl"), "--output", str(tmp_path / "curve")]
    done = quick_script("tools/results.py", "curve", *words, "--where", "decoder=Argmax")
    assert (done.status, done.err) == (0, "")
    assert "| 960 | 8.14 (8.14 to 8.14) |" in done.out
    assert (tmp_path / "curve.md").is_file()
    for wrong, message in (
        (["--where", "decoder"], "error: --where takes KEY=VALUE, but is decoder"),
        (["--hours", "0"], "error: --hours must be positive, but is 0"),
        (["--recipe", "hours_1"], "error: a power law needs at least 3 runs"),
    ):
        done = quick_script("tools/results.py", "curve", *words, *wrong)
        assert done.status == 2
        assert done.err.startswith(message)
        assert done.err.count("\n") == 1
