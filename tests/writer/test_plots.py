"""Figures: what they show equals what went in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from deepspeech2.writer import JsonlWriter
from deepspeech2.writer.base import Prediction, prediction_table, rasterise
from deepspeech2.writer.plots import curves, emissions, spectrograms

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def metrics(tmp_path: Path) -> Path:
    writer = JsonlWriter(tmp_path)
    for step in range(1, 101):
        values = {"train/loss": 50 / step, "train/learning_rate": 1e-3, "epoch": 1}
        writer.scalars({**values, "train/audio_seconds_per_second": 40.0 + step % 3}, step)
    for step, rate in ((50, 0.5), (80, 0.2), (100, 0.3)):
        writer.scalars(
            {"val/loss": rate, "val/WER_(Argmax)": rate, "val/CER_(Argmax)": rate / 2}, step
        )
    writer.scalars({"train/gradient_norm": float("nan")}, 100)
    writer.close()
    return tmp_path / "metrics.jsonl"


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def test_curves_show_what_is_there(metrics: Path) -> None:
    figures = curves(metrics)
    # There is no finite gradient norm.
    assert list(figures) == ["loss", "error_rates", "learning_rate", "speed"]
    for figure in figures.values():
        axes = figure.axes[0]
        assert axes.get_title(loc="left")
        assert axes.get_xlabel()
        assert axes.get_ylabel()
        assert rasterise(figure).std() > 1
    assert legend(figures["error_rates"]) == [
        "val/WER (Argmax): best 20 % at step 80",
        "val/CER (Argmax): best 10 % at step 80",
    ]


def test_curves_hold_the_values(metrics: Path) -> None:
    axes = curves(metrics)["error_rates"].axes[0]
    drawn = [line.get_xydata().tolist() for line in axes.lines if len(line.get_xydata()) == 3]
    assert [[50.0, 50.0], [80.0, 20.0], [100.0, 30.0]] in drawn
    assert [[50.0, 25.0], [80.0, 10.0], [100.0, 15.0]] in drawn


def test_loss_is_logarithmic_where_it_spans_decades(metrics: Path) -> None:
    figures = curves(metrics)
    assert figures["loss"].axes[0].get_yscale() == "log"
    assert figures["error_rates"].axes[0].get_yscale() == "linear"


def test_smoothing_keeps_a_straight_line(tmp_path: Path) -> None:
    writer = JsonlWriter(tmp_path)
    for step in range(100):
        writer.scalars({"train/loss": 200.0 - step}, step)
    writer.close()
    axes = curves(tmp_path / "metrics.jsonl")["loss"].axes[0]
    for line in axes.lines:
        np.testing.assert_allclose(line.get_ydata(), 200.0 - np.arange(100))


def test_a_single_point_and_zero_draw(tmp_path: Path) -> None:
    writer = JsonlWriter(tmp_path)
    writer.scalars({"val/CER_(Argmax)": 0.0}, 1)
    writer.close()
    figures = curves(tmp_path / "metrics.jsonl")
    rasterise(figures["error_rates"])
    assert legend(figures["error_rates"]) == ["val/CER (Argmax): best 0 % at step 1"]


def test_spectrograms_share_time_and_colours() -> None:
    rng = np.random.default_rng(0)
    rows = [("before", rng.normal(size=(100, 40))), ("after", 3 * rng.normal(size=(80, 40)))]
    figure = spectrograms(rows, 0.01)
    rasterise(figure)
    images = [axes.images[0] for axes in figure.axes if axes.images]
    for image, (_, features) in zip(images, rows, strict=True):
        np.testing.assert_array_equal(image.get_array(), features.T)
    assert [image.get_extent()[1] for image in images] == [1.0, 0.8]
    assert images[0].get_clim() == images[1].get_clim()


def test_constant_features_draw() -> None:
    rasterise(spectrograms([("masked", np.zeros((5, 4)))], 0.01))


def test_emissions_name_what_the_network_spells() -> None:
    tokens = ["", "a", "b", " "]
    spelt = [0, 1, 1, 0, 2, 0, 3, 0, 1]
    probs = np.full((len(spelt), 4), 0.01)
    probs[np.arange(len(spelt)), spelt] = 0.97
    figure = emissions(np.log(probs), tokens, 0.02, title="AB A")
    rasterise(figure)
    labels = sorted(figure.axes[0].texts, key=lambda text: text.xy[0])
    assert [text.get_text() for text in labels] == ["a", "b", "␣", "a"]
    np.testing.assert_allclose([text.xy[0] for text in labels], [0.03, 0.09, 0.13, 0.17])
    with pytest.raises(ValueError, match="3 tokens"):
        emissions(np.log(probs), tokens[:3], 0.02)


def test_figures_do_without_pyplot() -> None:
    code = (
        "import sys, numpy; from deepspeech2.writer.base import rasterise;"
        "from deepspeech2.writer import plots;"
        "rasterise(plots.spectrograms([('a', numpy.eye(4))], 0.01));"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_prediction_table() -> None:
    rows = [
        Prediction("u1", "a cat", {"Argmax": "a bat"}, {"Argmax": 0.5}, {"Argmax": 0.2}),
        Prediction("u2", None, {"Argmax": "x", "BeamSearch": "y"}, {}, {}),
    ]
    frame = prediction_table(rows)
    assert list(frame.columns) == [
        "id",
        "reference",
        "Argmax",
        "BeamSearch",
        "WER_(Argmax)",
        "CER_(Argmax)",
        "WER_(BeamSearch)",
        "CER_(BeamSearch)",
    ]
    assert frame.loc[0, "WER_(Argmax)"] == 0.5
    assert frame.loc[1, "BeamSearch"] == "y"
    assert frame["reference"].isna().tolist() == [False, True]
    assert frame["WER_(Argmax)"].isna().tolist() == [False, True]
    assert prediction_table([]).columns.tolist() == ["id", "reference"]
