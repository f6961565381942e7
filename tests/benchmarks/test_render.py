"""RESULTS.md says what was recorded, newest first, and nothing about where."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks import render
from benchmarks.records import (
    FOLDER,
    PAGE,
    PLOTS,
    RESULTS,
    append,
    machine,
    newest,
    read,
    without_paths,
)
from deepspeech2.paths import ROOT

EPYC = {"platform": "Linux-6", "processor": "AMD EPYC", "cpus": 2, "load": 1.93, "gpu": None}
XEON = {"platform": "Linux-5", "processor": "Intel Xeon", "cpus": 16, "load": 0.5, "gpu": "H100"}


def record(name: str, ours: float, theirs: float, **more: Any) -> dict[str, Any]:
    made = {
        "name": name,
        "date": "2026-01-02T03:04:05Z",
        "ours": ours,
        "theirs": theirs,
        "ratio": round(ours / theirs, 3),
        "unit": "seconds of audio per second",
        "against": "a plain one",
        "versions": {"python": "3.11.7", "torch": "2.11.0"},
        "machine": EPYC,
    }
    return made | more


TRAIN = record("train_step", 49.0, 40.7, variants={"packed GRU": 0.67, "compiled features": 1.1})
DECODING = record(
    "decoding",
    4321,
    1000,
    unit="frames/s",
    all={
        "synthetic, beam 10": {"ours": {"one": 4321, "all": 8642}, "peer": {"one": 1000}},
        "synthetic, beam 100": {"ours": {"one": 432, "all": 864, "wer": 7.25}},
    },
)
DATA = record("data_path", 300, 100, cache={"0": 300, "1": 250}, files={"0": 100, "1": 90})


def page(folder: Path, *records: dict[str, Any]) -> str:
    lines = "".join(json.dumps(each) + "\n" for each in records)
    (folder / RESULTS).write_text(lines, encoding="utf-8")
    return render.write(folder).read_text(encoding="utf-8")


def cells(text: str, start: str) -> list[str]:
    """Of the only row that begins with ``start``."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {start} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_measurement_with_all_that_it_depends_on(tmp_path: Path) -> None:
    extra = {"command": "python -m benchmarks.train_step", "commit": "abc1234", "dirty": True}
    text = page(tmp_path, TRAIN | extra | {"took_seconds": 1234, "model": "small"})
    assert cells(text, "[train_step](#train_step)")[1:] == [
        "AMD EPYC, 2 CPUs",
        "49.0",
        "40.7",
        "seconds of audio per second",
        "1.204",
        "a plain one",
        "2026-01-02",
    ]
    assert cells(text, "command")[1] == "`python -m benchmarks.train_step`"
    assert cells(text, "commit")[1] == "abc1234 and uncommitted changes"
    assert cells(text, "took")[1] == "1,234 s"
    assert cells(text, "versions")[1] == "python 3.11.7, torch 2.11.0"
    assert cells(text, "load")[1] == "1.93"
    assert cells(text, "model")[1] == "small"
    assert cells(text, "packed GRU")[1] == "0.67"


def test_says_first_that_it_is_generated_and_how(tmp_path: Path) -> None:
    first = page(tmp_path, TRAIN).split("\n\n")[1].replace("\n", " ")
    assert "generated" in first
    assert "`make bench`" in first
    assert "`python -m benchmarks.bench --render`" in first


def test_nested_details_become_a_table_each(tmp_path: Path) -> None:
    text = page(tmp_path, DECODING)
    first, second = text.split("**synthetic, beam 10**")[1].split("**synthetic, beam 100**")
    assert cells(first, "ours")[1:] == ["4,321", "8,642"]
    assert cells(first, "peer")[1:] == ["1,000", "-"]
    assert cells(second, "ours")[1:] == ["432", "864", "7.25"]
    assert "WER in %" not in first
    assert "WER in %" in second


def test_flat_details_with_the_same_rows_share_a_table(tmp_path: Path) -> None:
    text = page(tmp_path, DATA)
    assert "|  | cache on the disk | plain files |" in text
    assert cells(text, "1") == ["1", "250", "90"]


def test_two_machines_stand_side_by_side(tmp_path: Path) -> None:
    text = page(tmp_path, TRAIN, record("train_step", 900.0, 300.0, machine=XEON, model="large"))
    section = text.split("## train_step")[1]
    header = next(line for line in section.splitlines() if line.startswith("|"))
    assert header == "|  | AMD EPYC, 2 CPUs | Intel Xeon, 16 CPUs, H100 |"
    assert cells(section, "ours") == ["ours", "49.0", "900.0"]
    assert cells(section, "load") == ["load", "1.93", "0.5"]
    assert cells(section, "model") == ["model", "-", "large"]
    assert "**variants** (AMD EPYC, 2 CPUs)" in section


def test_the_newest_of_a_machine_counts(tmp_path: Path) -> None:
    newer = record("train_step", 50.0, 40.0, date="2026-02-01T00:00:00Z")
    older = record("train_step", 1.0, 2.0, date="2025-12-31")
    text = page(tmp_path, TRAIN, newer, older)
    assert cells(text, "ours")[1] == "50.0"
    assert text.count("## train_step") == 1


def test_of_one_date_the_later_line_counts() -> None:
    found = newest([TRAIN, record("train_step", 7.0, 4.0)])
    assert found["train_step"]["AMD EPYC, 2 CPUs"]["ours"] == 7.0


def test_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    def contents() -> dict[str, bytes]:
        files = [tmp_path / PAGE, *(tmp_path / PLOTS).iterdir()]
        return {file.name: file.read_bytes() for file in files}

    page(tmp_path, TRAIN, DECODING, DATA)
    first = contents()
    page(tmp_path, TRAIN, DECODING, DATA)
    assert contents() == first
    page(tmp_path, DATA, DECODING, TRAIN)
    assert contents() == first


def test_plots_are_small_and_linked_and_old_ones_go(tmp_path: Path) -> None:
    def linked(text: str) -> set[str]:
        return set(re.findall(rf"\({PLOTS}/(.*?)\)", text))

    text = page(tmp_path, TRAIN, DECODING, record("ranks", 99.6, 167.0, machine=XEON))
    files = {file.name: file.stat().st_size for file in (tmp_path / PLOTS).iterdir()}
    expected = {"ratios.png", "decoding-amd-epyc-2-cpus.png", "train_step-variants.png"}
    assert files.keys() == linked(text) == expected
    assert max(files.values()) < 60_000
    assert linked(page(tmp_path, DATA)) == {"ratios.png"}
    assert [file.name for file in (tmp_path / PLOTS).iterdir()] == ["ratios.png"]


def test_nothing_measured(tmp_path: Path) -> None:
    assert "Nothing has been measured yet." in render.write(tmp_path).read_text(encoding="utf-8")


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    append(tmp_path / RESULTS, TRAIN)
    with (tmp_path / RESULTS).open("a", encoding="utf-8") as file:
        file.write('{"name": "ranks"}\n')
    with pytest.raises(ValueError, match=r"results.jsonl, line 2: expected a JSON object.*ranks"):
        read(tmp_path / RESULTS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/me/saved/best.pth", "best.pth"),
        ("--data=/mnt/a-b/c_d/ --lm ~/lm/3-gram.arpa", "--data=c_d --lm 3-gram.arpa"),
        (r"C:\speech\lm.arpa", "lm.arpa"),
        ("frames/s", "frames/s"),
        ("LibriSpeech/test-clean", "LibriSpeech/test-clean"),
        ("AMD EPYC 7B13 64-Core / 2.4 GHz", "AMD EPYC 7B13 64-Core / 2.4 GHz"),
        ("https://www.openslr.org/12", "https://www.openslr.org/12"),
    ],
)
def test_paths_are_cut(text: str, expected: str) -> None:
    assert without_paths({text: [text, 1, None]}) == {expected: [expected, 1, None]}


def test_a_machine_without_a_name() -> None:
    assert machine({"machine": {"processor": "", "cpus": 1}}) == "unknown processor, 1 CPU"


class TestRecorded:
    """What the repository contains."""

    def test_page_is_that_of_the_results(self, tmp_path: Path) -> None:
        (tmp_path / RESULTS).write_bytes((FOLDER / RESULTS).read_bytes())
        assert render.write(tmp_path).read_bytes() == (FOLDER / PAGE).read_bytes()
        plots = {file.name for file in (tmp_path / PLOTS).iterdir()}
        assert plots == {file.name for file in (FOLDER / PLOTS).iterdir()}

    def test_no_absolute_path(self) -> None:
        for found in read(FOLDER / RESULTS):
            assert without_paths(found) == found
        for name in (RESULTS, PAGE):
            text = (FOLDER / name).read_text(encoding="utf-8")
            assert str(ROOT) not in text
            assert not re.search(r"(?:^|[\s\"'=`])/\w", text)
