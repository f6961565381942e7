"""Runs side by side: what differs, how they ended, seeds together."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from leaderboard.ablation import Run, describe, read_run, rows, write_runs
from leaderboard.rows import read

from deepspeech2.errors import ManifestError
from tests.results.conftest import Done
from tests.toy import ROOT

CONFIG: dict[str, Any] = {
    "model": {
        "_target_": "deepspeech2.model.DeepSpeech2",
        "dropout": 0.2,
        "conv_strides": [[3, 2], [3, 2]],
    },
    "transforms": {"waveform_transforms": [{"_target_": "deepspeech2.transforms.Gain", "p": 0.5}]},
    "trainer": {"n_epochs": 2, "seed": 1, "save_dir": "saved", "threads": 2},
    "writer": {"run_name": "base"},
    "data_dir": "data",
}


def make(
    folder: Path, wer: float, average: float = 0.9, seed: int = 1, epochs: int = 2, **model: Any
) -> Path:
    folder.mkdir()
    config = {
        **CONFIG,
        "model": {**CONFIG["model"], **model},
        "trainer": {**CONFIG["trainer"], "seed": seed, "save_dir": str(folder)},
        "writer": {"run_name": folder.name},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    lines: list[dict[str, Any]] = []
    for epoch in range(1, epochs + 1):
        lines.append({"step": 10 * epoch, "time": 1000.0 + 300 * epoch, "train/loss": 1.0})
        for part, rate in (("val", wer), ("val_ema", average)):
            last = rate + 0.1 * (epochs - epoch)
            row = {f"{part}/WER_(Argmax)": last, f"{part}/CER_(Argmax)": last / 2}
            time = 1060.0 + 300 * epoch
            lines.append({"step": 10 * epoch, "time": time, **row, f"{part}/loss": 2 * last})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture
def ablation(quick_script: Callable[..., Done]) -> Callable[..., Done]:
    return partial(quick_script, "tools/results.py", "ablation")


def test_a_run_beside_its_base(tmp_path: Path) -> None:
    base = make(tmp_path / "base", 0.6)
    run = read_run(make(tmp_path / "more", 0.5, 0.45, seed=3, dropout=0.4, norm="layer"), base)
    assert run.changes == {"model.dropout": 0.4, "model.norm": "layer"}
    assert (run.name, run.seed, run.epochs, run.weights) == ("more", 3, 2, "average")
    assert run.wer == pytest.approx(0.45)
    assert run.cer == pytest.approx(0.225)
    assert run.loss == pytest.approx(0.9)
    assert run.minutes == 6.0  # 360 s from the first line to the last
    assert read_run(base, base).changes == {}


def test_rows_are_greedy_whatever_else_was_validated_with(tmp_path: Path) -> None:
    base = make(tmp_path / "base", 0.6)
    folder = make(tmp_path / "beam", 0.5)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        if "val/WER_(Argmax)" in line:
            line |= {"val/WER_(BeamSearch)": 0.1, "val/CER_(BeamSearch)": 0.1}
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_run(folder, base).wer == pytest.approx(0.5)


def test_a_pause_is_no_training(tmp_path: Path) -> None:
    base = make(tmp_path / "base", 0.6)
    file = base / "metrics.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines[3:]:
        line["time"] += 3600
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_run(base, base).minutes == 2.0


def test_an_item_of_a_list_is_named(tmp_path: Path) -> None:
    base = make(tmp_path / "base", 0.6)
    other = make(tmp_path / "other", 0.6)
    config = yaml.safe_load((other / "config.yaml").read_text())
    config["transforms"]["waveform_transforms"] = []
    config["model"]["conv_strides"] = [[3, 2], [3, 1]]
    (other / "config.yaml").write_text(yaml.safe_dump(config))
    assert read_run(other, base).changes == {
        "model.conv_strides": [[3, 2], [3, 1]],
        "transforms.waveform_transforms": [],
        "transforms.waveform_transforms.0._target_": None,
        "transforms.waveform_transforms.0.p": None,
    }


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    base = make(tmp_path / "base", 0.6)
    with pytest.raises(ManifestError, match="has finished 1 of 2 epochs: let it run to its end"):
        read_run(make(tmp_path / "half", 0.6, epochs=1), base)
    with pytest.raises(ManifestError, match="none is no folder of a run"):
        read_run(tmp_path / "none", base)
    (base / "metrics.jsonl").write_text('{"step": 1, "time": 1.0, "train/loss": 2.0}\n')
    with pytest.raises(ManifestError, match="has validated nothing yet"):
        read_run(base, base)
    changed = read_run(make(tmp_path / "more", 0.5, dropout=0.4), make(tmp_path / "other", 0.5))
    with pytest.raises(ManifestError, match="no run is the base"):
        rows([changed])


def test_classes_come_first_and_few_keys_are_named() -> None:
    changes = {"a.b": [1, 2], "a.z._target_": "x.Y", "b.c": 1e-3, "c": None, "d": True, "e": 1}
    assert describe(changes) == "`a.z=Y`, `a.b=[1,2]`, `b.c=0.001`, `c=null`, 2 more"


def test_what_a_replaced_part_lacks_is_not_told() -> None:
    changes = {"o._target_": "a.B", "o.momentum": None, "t": [], "t.0._target_": None, "w": None}
    assert describe(changes) == "`o=B`, `t=[]`, `w=null`"
    many = {f"a.b.{name}": 1 for name in "vwxyz"} | {"a.b._target_": "c.D", "a.b.0._target_": "E"}
    assert describe(many | {"e.f": 2}) == "`a.b`: D, E, `e.f=2`"
    assert describe({"t": None, "t.0._target_": "a.B"}) == "`t.0=B`, `t=null`"


def test_seeds_are_one_row_and_the_page_keeps_what_it_had(
    tmp_path: Path, ablation: Callable[..., Done]
) -> None:
    base = make(tmp_path / "base", 0.6)
    again = make(tmp_path / "base2", 0.64, seed=2)
    worse = make(tmp_path / "small", 0.7, dropout=0.4)
    better = make(tmp_path / "large", 0.5, dropout=0.1)
    results = tmp_path / "out/ablations.jsonl"
    words = [f"--results={results}", "--about", "Two hours, two epochs."]
    first = [str(path) for path in (base, again, worse)]
    assert ablation(*first, *words).status == 0
    assert ablation(str(base), str(better), words[0]).status == 0
    found = rows(read(results, Run))
    assert [(row.name, len(row.runs)) for row in found] == [("base", 2), ("large", 1), ("small", 1)]
    assert found[0].mean("wer") == pytest.approx(0.62)
    assert found[0].spread == pytest.approx(0.02 * 2**0.5)
    text = results.with_suffix(".md").read_text()
    assert "Two hours, two epochs." in text
    assert "| base | - | 62.00 ± 2.83 | - | 31.00 | 1.240 | 1, 2 | 6 |" in text
    assert "| large | `model.dropout=0.1` | 50.00 | -12.00 | 25.00 | 1.000 | 1 | 6 |" in text
    assert results.with_suffix(".png").stat().st_size > 1000
    assert str(tmp_path) not in text + results.read_text()
    done = ablation(str(tmp_path / "none"), words[0])
    assert (done.status, done.err[:7]) == (2, "error: ")


def test_runs_are_read_as_written(tmp_path: Path) -> None:
    base = make(tmp_path / "base", 0.6)
    runs = [read_run(base, base)]
    write_runs(tmp_path / "a.jsonl", runs)
    assert read(tmp_path / "a.jsonl", Run) == runs
    assert read(tmp_path / "none.jsonl", Run) == []
    for text, message in (
        ("{", "line 1: Invalid JSON"),
        ('{"name": "a"}', "line 1: .*seed: .*required"),
    ):
        (tmp_path / "a.jsonl").write_text(text)
        with pytest.raises(ManifestError, match=message):
            read(tmp_path / "a.jsonl", Run)


def test_without_a_place_the_table_lies_beside_the_runs(
    tmp_path: Path, ablation: Callable[..., Done]
) -> None:
    """Not in this repository's results, which are other people's runs."""
    ours = ROOT / "results" / "ablations.jsonl"
    before = ours.read_bytes()
    base = make(tmp_path / "base", 0.6)
    assert ablation(str(base)).status == 0
    assert ours.read_bytes() == before
    assert [run.name for run in read(tmp_path / "ablations.jsonl", Run)] == ["base"]
