"""What a training run shows: numbers, tables, figures and audio, in files and in trackers.

Figures are drawn by :mod:`deepspeech2.writer.plots`, tables of predictions are laid out by
:mod:`deepspeech2.writer.examples`; both are imported where they are needed, because matplotlib and
pandas take their time.
"""

from __future__ import annotations

from deepspeech2.writer.jsonl import JsonlWriter
from deepspeech2.writer.tensorboard import TensorboardWriter
from deepspeech2.writer.wandb import WandbWriter
from deepspeech2.writer.writer import MultiWriter, NullWriter, Writer

__all__ = [
    "JsonlWriter",
    "MultiWriter",
    "NullWriter",
    "TensorboardWriter",
    "WandbWriter",
    "Writer",
]
