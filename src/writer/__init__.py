"""What a training run shows: numbers, tables, figures and audio, in files and in trackers.

Figures are drawn by :mod:`src.writer.plots`, tables of predictions are laid out by
:mod:`src.writer.examples`; both are imported where they are needed, because matplotlib and
pandas take their time.
"""

from __future__ import annotations

from src.writer.base import MultiWriter, NullWriter, Writer
from src.writer.jsonl import JsonlWriter
from src.writer.tensorboard import TensorboardWriter
from src.writer.wandb import WandbWriter

__all__ = [
    "JsonlWriter",
    "MultiWriter",
    "NullWriter",
    "TensorboardWriter",
    "WandbWriter",
    "Writer",
]
