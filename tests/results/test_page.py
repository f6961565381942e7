"""The page and the README show what was recorded and published, and twice the same."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from leaderboard import page
from leaderboard.rows import Machine, Published, Result, ordered, read, read_published

from deepspeech2.errors import ManifestError
from deepspeech2.paths import ROOT
from tests.results.made import BEAM, result

THEIRS = [
    Published("A", "greedy", {"test-clean": 5.3, "test-other": 13.25}, "a paper", "https://a.b/c"),
    Published(
        "B", "beam", {"AN4 test": 10.6}, "a | repository", hours=960, parameters=43, note="mean"
    ),
]
OURS = [result(1.0, 0.75), result(4.0, 0.4567), result(4.0, 0.5, **BEAM, unreadable=2)]


def rows(text: str, start: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith(f"| {start}")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_all_that_a_reader_asks_for(tmp_path: Path) -> None:
    page.write(OURS, THEIRS, tmp_path / "RESULTS.md")
    text = (tmp_path / "RESULTS.md").read_text()
    best, beam, worst = rows(text, "test-clean-35m")
    assert best == [
        "test-clean-35m (240)",
        "45.67 (41.10 to 50.24)",
        "15.22 (13.70 to 16.75)",
        "4 h of librispeech/train-clean-100",
        "DeepSpeech2, 1.7 M",
        "greedy",
        "1.25 h, AMD EPYC, 2 cores",
        "`python train.py -cn=librispeech_8h datasets.train.hours=4`",
    ]
    assert beam[5] == "beam 50, language model own.arpa (188 MB, perplexity 246.9)"
    assert worst[1].startswith("75.00")
    assert rows(text, "A ") == [
        ["A", "5.30", "13.25", "-", "-", "-", "greedy", "[a paper](https://a.b/c)"]
    ]
    assert rows(text, "B ") == [
        ["B", "-", "-", "AN4 test 10.6", "960", "43 M", "beam; mean", r"a \| repository"]
    ]
    (origin,) = rows(text, "hours_1 ")
    assert origin[3:7] == [
        "240",
        "750, 0, 0, 1,000",
        "250, 0, 0, 1,000",
        "`python inference.py -cn=inference`",
    ]
    assert origin[7] == "30, moving average, 1"
    assert origin[10] == "2026-01-02, python 3.11.7, torch 2.11.0"
    assert "240 and 2 unreadable" in text


def test_twice_gives_the_same_bytes_whatever_the_order(tmp_path: Path) -> None:
    for name, ours in (("a", OURS), ("b", OURS), ("c", OURS[::-1])):
        page.write(ours, THEIRS, tmp_path / name)
    assert len({(tmp_path / name).read_bytes() for name in "abc"}) == 1


def test_nothing_recorded(tmp_path: Path) -> None:
    page.write([], THEIRS, tmp_path / "RESULTS.md")
    text = (tmp_path / "RESULTS.md").read_text()
    assert "None of ours has been recorded yet." in text
    assert "Where ours come from" not in text


def test_the_curves_of_each_training_once(tmp_path: Path) -> None:
    shown = ["curves/1a-loss.png", "curves/1a-error_rates.png"]
    ours = [replace(row, curves=shown if row.training.hours > 1 else []) for row in OURS]
    page.write(ours, THEIRS, tmp_path / "RESULTS.md")
    text = (tmp_path / "RESULTS.md").read_text()
    assert rows(text, "`hours_") == [["`hours_4`", *(f"![{Path(x).stem[3:]}]({x})" for x in shown)]]
    page.write(OURS, THEIRS, tmp_path / "RESULTS.md")
    assert "How training went" not in (tmp_path / "RESULTS.md").read_text()


def test_the_gpu_stands_for_the_machine() -> None:
    row = result()
    training = replace(row.training, machine=Machine("AMD EPYC", 16, "NVIDIA H100"))
    text = page.summary([replace(row, training=training)], [])
    assert "| 1.25 h, NVIDIA H100 |" in text


def test_the_short_table_has_a_row_for_each_training() -> None:
    small = replace(BEAM["language_model"], name="small.arpa", size_bytes=10_000_000)
    options = {**BEAM["decoder_options"], "lm": "small.arpa"}
    smaller = {**BEAM, "decoder_options": options, "language_model": small}
    beam = result(4.0, 0.45, decoder="BeamSearch", decoder_options={"beam_size": 10})
    text = page.brief(
        ordered([*OURS, beam, result(4.0, 0.6, checkpoint_sha256="e" * 64, **smaller)])
    )
    four, one = rows(text, "test-clean-35m")
    assert four == [
        "test-clean-35m (240)",
        "4 h of librispeech/train-clean-100",
        "45.67 (41.10 to 50.24)",
        "60.00 (54.00 to 66.00), small.arpa",
        "`python train.py -cn=librispeech_8h datasets.train.hours=4`",
    ]
    assert (one[2][:5], one[3]) == ("75.00", "-")
    (alone,) = rows(page.brief([result(4.0, 0.5, **BEAM)]), "test-clean-35m")
    assert alone[2:4] == ["-", "50.00 (45.00 to 55.00), own.arpa"]


def test_the_readme_changes_between_its_markers_alone(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- results:begin -->\nold\n<!-- results:end -->\nafter\n")
    for _ in range(2):
        assert page.insert("| new |", readme)
        text = readme.read_text()
        assert text == f"before\n{page.BEGIN}\n| new |\n{page.END}\nafter\n"


def test_a_readme_without_markers_stays(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("before\n")
    assert not page.insert("| new |", readme)
    assert readme.read_text() == "before\n"


@pytest.mark.parametrize("text", ["BEGIN", "END BEGIN", "BEGIN END END"])
def test_markers_that_are_no_pair(tmp_path: Path, text: str) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(text.replace("BEGIN", page.BEGIN).replace("END", page.END))
    with pytest.raises(ManifestError, match=r"README.md must have .* once and .* once after it"):
        page.insert("| new |", readme)


class TestPublished:
    def test_what_the_repository_holds(self) -> None:
        found = read_published(ROOT / "docs/published.yaml")
        assert len(found) == 12
        assert len({(each.system, *each.wer) for each in found}) == 12
        clean = {each.system: each.wer.get("test-clean") for each in found if each.hours}
        assert clean["DeepSpeech 2"] == 5.33
        assert all(each.url is None or each.url.startswith("https://") for each in found)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("results: 3", "must have a list 'results'"),
            ("results: [{system: A}]", "result 1: decoding: .*required"),
            ("results: [{system: A, colour: red}]", "result 1: .*; colour: Unexpected keyword"),
            ("results: [", "cannot be read"),
            (
                "results: [{system: A, decoding: b, source: c, wer: {x: good}}]",
                "result 1: wer.x: .* valid number, but is .*good",
            ),
        ],
    )
    def test_what_is_malformed_is_named(self, tmp_path: Path, text: str, message: str) -> None:
        file = tmp_path / "published.yaml"
        file.write_text(text)
        with pytest.raises(ManifestError, match=message):
            read_published(file)

    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(ManifestError, match="cannot be read"):
            read_published(tmp_path / "none.yaml")


class TestRecorded:
    """What the repository contains."""

    def test_page_is_that_of_the_results(self, tmp_path: Path) -> None:
        recorded = ROOT / "results"
        ours = read(recorded / "results.jsonl", Result)
        page.write(ours, read_published(ROOT / "docs/published.yaml"), tmp_path / "RESULTS.md")
        assert (tmp_path / "RESULTS.md").read_bytes() == (recorded / "RESULTS.md").read_bytes()

    def test_the_readme_has_the_short_table(self) -> None:
        ours = ordered(read(ROOT / "results/results.jsonl", Result))
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        shown = readme.split(page.BEGIN)[1].split(page.END)[0].strip()
        assert shown == page.brief(ours).strip()

    def test_no_absolute_path(self) -> None:
        file = ROOT / "results" / "results.jsonl"
        for line in file.read_text().splitlines() if file.exists() else []:
            assert not re.search(r"(?:^|[\s\"'=`])/\w", json.dumps(json.loads(line)))
