"""The files of a run: what is written, dropped on resuming, and how names become files."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from matplotlib.figure import Figure
from PIL import Image

from deepspeech2.files import safe_name
from deepspeech2.writer import JsonlWriter
from deepspeech2.writer.base import rasterise
from deepspeech2.writer.jsonl import METRICS_FILE, read_metrics


def lines(run_dir: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run_dir / METRICS_FILE).read_text().splitlines()]


def write(run_dir: Path, steps: range, resume_step: int | None = None) -> None:
    writer = JsonlWriter(run_dir, resume_step)
    for step in steps:
        writer.scalars({"train/loss": 1 / step}, step)
    writer.close()


def test_lines_are_there_before_closing(tmp_path: Path) -> None:
    writer = JsonlWriter(tmp_path / "new" / "run", run_name="run")
    writer.scalars({"train/loss": np.float32(0.5), "val/WER_(Argmax)": 1}, 3)
    (line,) = lines(tmp_path / "new" / "run")
    writer.close()
    assert line.pop("time") > 1e9
    assert line == {"step": 3, "train/loss": 0.5, "val/WER_(Argmax)": 1.0}


def test_what_is_not_finite_stays_json(tmp_path: Path) -> None:
    writer = JsonlWriter(tmp_path)
    writer.scalars({"a": math.nan, "b": math.inf, "c": 1.0}, 1)
    writer.close()
    text = (tmp_path / METRICS_FILE).read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    (row,) = read_metrics(tmp_path / METRICS_FILE)
    assert math.isnan(row["a"])
    assert math.isnan(row["b"])
    assert row["c"] == 1.0


def test_resumed_is_uninterrupted(tmp_path: Path) -> None:
    write(tmp_path / "whole", range(1, 11))
    write(tmp_path / "resumed", range(1, 8))
    path = tmp_path / "resumed" / METRICS_FILE
    path.write_text(path.read_text() + '{"step": 8, "train/lo')  # killed while writing
    write(tmp_path / "resumed", range(6, 11), resume_step=5)
    for whole, resumed in zip(lines(tmp_path / "whole"), lines(path.parent), strict=True):
        assert {**whole, "time": 0} == {**resumed, "time": 0}


def test_resuming_keeps_times_and_needs_no_file(tmp_path: Path) -> None:
    write(tmp_path, range(1, 4), resume_step=0)
    before = lines(tmp_path)
    write(tmp_path, range(0), resume_step=3)
    assert lines(tmp_path) == before


def test_a_new_run_overwrites_nothing(tmp_path: Path) -> None:
    write(tmp_path, range(1, 3))
    with pytest.raises(FileExistsError):
        JsonlWriter(tmp_path)
    assert len(lines(tmp_path)) == 2


def test_table_is_the_latest(tmp_path: Path) -> None:
    writer = JsonlWriter(tmp_path)
    for text in ("old", 'zoë, "quoted"\nline'):
        writer.table("examples/val", pd.DataFrame({"id": ["a"], "text": [text]}), 1)
    writer.close()
    (path,) = (tmp_path / "tables").iterdir()
    assert path.name == "examples_val.csv"
    frame = pd.read_csv(path, encoding="utf-8-sig")
    assert frame.to_dict("list") == {"id": ["a"], "text": ['zoë, "quoted"\nline']}


def test_figure_and_audio(tmp_path: Path) -> None:
    figure = Figure(figsize=(4, 3))
    figure.subplots().plot([1, 2])
    wave = np.array([0.0, 0.5, -0.5, 1.5], dtype=np.float32)
    writer = JsonlWriter(tmp_path)
    writer.figure("val/WER_(Argmax)", figure, 1)
    writer.audio("before/augmentation", wave, 16000, 1)
    writer.close()
    with Image.open(tmp_path / "plots" / "val_WER_(Argmax).png") as image:
        assert image.size == (480, 360)
    read, rate = soundfile.read(tmp_path / "audio" / "before_augmentation.wav")
    assert rate == 16000
    np.testing.assert_allclose(read, wave.clip(-1, 1), atol=1e-4)
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize(
    "name", ["a/b", "..", "../../etc/x", "C:\\x", "nul", "com1.x", "", ".hidden", "é\0\n", "a:b*?"]
)
def test_what_is_logged_stays_in_its_folder(name: str, tmp_path: Path) -> None:
    writer = JsonlWriter(tmp_path / "run")
    writer.table(name, pd.DataFrame({"a": [1]}), 1)
    writer.close()
    (file,) = tmp_path.rglob("*.csv")
    assert file.parent == tmp_path / "run" / "tables"
    assert file.stem == safe_name(name.replace("/", "_"))


def test_rasterise_shows_what_was_drawn_and_leaves_the_figure() -> None:
    figure = Figure(figsize=(2, 1), dpi=77, facecolor="red")
    pixels = rasterise(figure, dpi=50)
    assert pixels.shape == (50, 100, 3)
    assert pixels.dtype == np.uint8
    assert (pixels == [255, 0, 0]).all()
    assert figure.dpi == 77
