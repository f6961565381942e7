"""How figures become files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepspeech2.files import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 120
"""Text of 10 points is 17 pixels high: readable without zooming."""


def save_figure(figure: Figure, path: Path, *, dpi: int = DOTS_PER_INCH, **options: Any) -> None:
    """Write a figure to ``path`` as PNG, whole or not at all; ``options`` are of savefig."""
    with whole_file(path, durable=False) as file:
        figure.savefig(file, format="png", dpi=dpi, **options)


def rasterise(figure: Figure, dpi: int = DOTS_PER_INCH) -> np.ndarray:
    """The pixels of a figure, (height, width, 3) uint8, drawn without pyplot's global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    before = figure.dpi
    try:
        figure.set_dpi(dpi)
        canvas: Any = FigureCanvasAgg(figure)  # its drawing methods carry no types
        canvas.draw()
        return np.array(canvas.buffer_rgba())[..., :3]
    finally:
        figure.set_dpi(before)
