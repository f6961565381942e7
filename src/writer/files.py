"""How names and figures become files."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 120
"""Text of 10 points is 17 pixels high: readable without zooming."""

# Names that Windows keeps for devices, whatever ending follows.
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


def file_name(name: str, suffix: str) -> str:
    """A file name for a logged name: one path component, on every system.

    >>> file_name("val/WER_(Argmax)", ".png")
    'val_WER_(Argmax).png'
    >>> file_name("../a b", ".csv")
    '_a_b.csv'
    """
    safe = re.sub(r"[^\w()+.-]", "_", name, flags=re.ASCII).lstrip(".") or "_"
    return f"_{safe}{suffix}" if _DEVICES.match(safe) else f"{safe}{suffix}"


def replace_file(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` so that a reader sees the old file or the new, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


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
