"""The pictures of tuning and of calibration can be read: no label hides or repeats another."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from deepspeech2.extras.calibration.report import Curve, reliability
from deepspeech2.writer.base import rasterise
from deepspeech2.writer.surface import Point, surface

GRID = list(itertools.product((0.0, 0.5, 1.0, 1.5, 2.0), (-2.0, -0.5, 1.0, 2.5, 4.0)))
BEAMS = [(10.0, 0.305, 9000.0), (30.0, 0.302, 4100.0), (50.0, 0.3, 3300.0), (100.0, 0.3, 1500.0)]


def bowl(weight: float, score: float) -> float:
    return 0.3 + 0.06 * (weight - 0.5) ** 2 + 0.01 * (score - 1) ** 2


SEARCHES: dict[str, tuple[list[Point], list[Point], Point]] = {
    "bowl": ([(*at, bowl(*at)) for at in GRID], BEAMS, (0.5, 1.0, 0.3)),
    "ties": (
        [(*at, 0.0 if at[0] else 0.02) for at in GRID],
        [(size, 0.0, speed) for size, _, speed in BEAMS],
        (0.5, 1.0, 0.0),
    ),
    "line": ([(weight, 1.0, 0.3) for weight, _ in GRID[::5]], BEAMS[:1], (0.5, 1.0, 0.3)),
    "two": ([(0.5, 1.0, 0.0), (3.0, 4.0, 0.0)], BEAMS, (0.5, 1.0, 0.3)),
    "near": (
        [(*at, 0.3 + 1e-4 * at[0]) for at in GRID],
        [(8.0 + 2 * n, 0.3 + 1e-5 * n, 123456.0 - n) for n in range(9)],
        (0.5, 1.0, 0.3),
    ),
}


def check(figure: Figure) -> None:
    """No two ticks of an axis are labelled alike, no text lies on another, all are inside."""
    width, height = rasterise(figure).shape[1::-1]
    figure.set_dpi(120)
    texts: list[Text] = []
    for axes in figure.axes:
        labelled = []
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
            shown = [label for tick in ticks for label in (tick.label1, tick.label2)
                     if label.get_visible() and label.get_text()]  # fmt: skip
            labels = [label.get_text() for label in shown]
            assert len(set(labels)) == len(labels), labels
            labelled += shown
        titles = [axes.title, axes.xaxis.label, axes.yaxis.label]
        texts += [text for text in (*labelled, *titles, *axes.texts) if text.get_text()]
    boxes = [text.get_window_extent() for text in texts]
    for (text, box), (other, beside) in itertools.combinations(zip(texts, boxes, strict=True), 2):
        assert not box.overlaps(beside), (text, other)
    for text, box in zip(texts, boxes, strict=True):
        assert min(box.x0, box.y0) >= 0, text
        assert box.x1 <= width, text
        assert box.y1 <= height, text


@pytest.mark.parametrize("name", SEARCHES)
def test_the_surface_of_a_search_can_be_read(name: str) -> None:
    plane, beams, best = SEARCHES[name]
    figure = surface(plane, beams, best)
    check(figure)
    left, right = figure.axes[:2]
    assert left.get_xlim()[0] >= 0
    assert right.get_ylim()[0] >= 0


def marked(axes: Any, colour: tuple[float, ...]) -> list[tuple[float, float]]:
    return [
        tuple(map(float, point))
        for dots in axes.collections
        if len(dots.get_facecolor()) and np.allclose(dots.get_facecolor()[0][:3], colour, atol=0.01)
        for point in dots.get_offsets()
    ]


def test_ties_are_marked_and_counted() -> None:
    orange = (0xE6 / 255, 0x9F / 255, 0)
    left, right = surface(*SEARCHES["ties"]).axes[:2]
    assert marked(left, orange) == [at for at in GRID if at[0]]
    assert left.get_title() == "20 of 25 weights with the lowest WER, 0.00 %"
    assert len(marked(right, orange)) == 4
    left, right = surface(*SEARCHES["bowl"]).axes[:2]
    assert marked(left, orange) == [(0.5, 1.0)]
    assert right.get_title() == "2 of 4 beams with the lowest WER, 30.00 %"


@pytest.mark.parametrize("top", [0.0, 0.004, 0.012, 0.03, 0.4, 1.0])
def test_a_calibration_can_be_read(top: float) -> None:
    bins = [(40, 0.05, 0.1), (100, 0.5, 0.45), (400, 0.95, 1.0)]
    curve: Curve = [(k / 50, 1 - (k / 50) ** 3, top * (1 - k / 60)) for k in range(51)]
    names = ("Argmax", "BeamSearch")
    curves = {"before: ECE 9.0 %": bins, "after: ECE 1.0 %": bins}
    figure = reliability(dict.fromkeys(names, curves), dict.fromkeys(names, curve))
    check(figure)
    for axes in figure.axes:
        assert min(*axes.get_xlim(), *axes.get_ylim()) >= 0
