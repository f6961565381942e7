"""The table over a sweep, against statistics that others compute."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from deepspeech2.config.sweep_table import _T, RECORD, JobRecord, sweep_table

RATES = {1: (0.5, 0.4, 0.45), 2: (0.3, 0.35, 0.31)}
"""Of a learning rate, the WER by seed."""


def job(folder: Path, number: int, settings: dict[str, str], value: float | None) -> None:
    name = ",".join(f"{key}={text}" for key, text in settings.items())
    failed = value is None
    line = JobRecord(number, name, settings, int(failed), value, "broken" if failed else None, 1.0)
    with (folder / RECORD).open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(line)) + "\n")
    if value is None:
        return
    (folder / name).mkdir(exist_ok=True)
    rows: list[dict[str, float | None]] = [
        {"step": 1, "train/loss": 9.0},
        {
            "step": 1,
            "val/WER_(Argmax)": value,
            "val/CER_(Argmax)": value / 4,
            "val/loss": 1.0,
            "val_ema/CER_(Argmax)": 0.7,
        },
        {"step": 2, "val/WER_(Argmax)": 0.9, "val/loss": None, "val/WER_(BeamSearch)": 0.1},
        {"step": 2, "test/CER_(Argmax)": value / 2},
    ]
    content = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / name / "metrics.jsonl").write_text(content + '{"step": 3, "val/WE', encoding="utf-8")


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def sweep(folder: Path) -> None:
    for rate, values in RATES.items():
        for seed, value in enumerate(values):
            job(folder, 0, {"lr": str(rate), "trainer.seed": str(seed)}, value)


def test_mean_and_paired_interval_are_those_of_scipy(tmp_path: Path) -> None:
    sweep(tmp_path)
    header, _, first, second = cells(sweep_table(tmp_path, "val_WER_(Argmax)", 1))
    assert header == [
        "lr", "jobs", "val_WER_(Argmax), %", "val/CER_(Argmax), %", "test/CER_(Argmax), %",
        "difference to the first",
    ]  # fmt: skip
    mean, spread = 100 * np.mean(RATES[2]), 100 * np.std(RATES[2], ddof=1)
    assert second[:3] == ["2", "3", f"{mean:.2f} ± {spread:.2f} *"]
    assert second[3] == f"{mean / 4:.2f} ± {spread / 4:.2f}"
    assert second[4] == f"{mean / 2:.2f} ± {spread / 2:.2f}"
    test = stats.ttest_rel(RATES[2], RATES[1])
    low, high = 100 * np.array(test.confidence_interval(0.95))
    shown = [float(text) for text in second[5].replace("[", "").strip("]").replace(",", "").split()]
    np.testing.assert_allclose(shown, (np.mean(RATES[2]) * 100 - 45, low, high), atol=0.02)
    assert first[5] == ""
    assert "*" not in first[2]
    # the larger is the better
    assert "*" in cells(sweep_table(tmp_path, "val_WER_(Argmax)", -1))[2][2]


def test_quantiles_are_those_of_scipy() -> None:
    for degrees, quantile in enumerate(_T, 1):
        assert quantile == pytest.approx(stats.t.ppf(0.975, degrees), abs=5e-4)


def test_failed_jobs_are_counted_and_the_latest_line_of_a_job_counts(tmp_path: Path) -> None:
    job(tmp_path, 0, {"lr": "1", "trainer.seed": "0"}, None)
    job(tmp_path, 1, {"lr": "2", "trainer.seed": "0"}, None)
    job(tmp_path, 2, {"lr": "3"}, None)
    with (tmp_path / RECORD).open("a", encoding="utf-8") as file:
        file.write('{"number": 4, "na\n[]\n')
    table = cells(sweep_table(tmp_path, "val_WER_(Argmax)", 1))
    assert table[2:] == [["1", "1 failed"], ["2", "1 failed"], ["3", "1 failed"]]
    # started again
    job(tmp_path, 0, {"lr": "1", "trainer.seed": "0"}, 0.5)
    job(tmp_path, 1, {"lr": "1", "trainer.seed": "1"}, None)
    table = cells(sweep_table(tmp_path, "val_WER_(Argmax)", 1))
    assert table[2] == ["1", "1, 1 failed", "50.00 *", "12.50", "25.00"]
    assert table[3] == ["2", "1 failed", "", "", ""]
    assert "difference" not in table[0][-1]  # of one seed there is none


def test_averaged_weights_are_compared_by_the_name_of_the_monitor(tmp_path: Path) -> None:
    job(tmp_path, 0, {"lr": "1"}, 0.2)
    rows = [
        {"step": 1, "val/WER_(Argmax)": 0.3, "val/CER_(Argmax)": 0.15, "val_ema/WER_(Argmax)": 0.2,
         "val_ema/CER_(Argmax)": 0.1},
        {"step": 2, "val_mean/WER_(Argmax)": 0.25, "val_mean/CER_(Argmax)": 0.2},
    ]  # fmt: skip
    path = tmp_path / "lr=1" / "metrics.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    header, _, row = cells(sweep_table(tmp_path, "val_WER_(Argmax)", 1))
    assert header[2:] == ["val_WER_(Argmax), %", "val/CER_(Argmax), %"]
    assert row[2:] == ["20.00 *", "10.00"]


def test_without_a_monitor_the_last_epoch_is_shown(tmp_path: Path) -> None:
    job(tmp_path, 0, {"optimizer.lr": "0.00012345678"}, math.pi)
    record = (tmp_path / RECORD).read_text("utf-8").replace(str(math.pi), "null")
    (tmp_path / RECORD).write_text(record, encoding="utf-8")
    header, _, row = cells(sweep_table(tmp_path, "", 1))
    assert dict(zip(header, row, strict=True))["val/WER_(Argmax), %"] == "90.00"
    assert row[0] == "0.0001235"
