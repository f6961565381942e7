"""What a training run shows: numbers, tables, figures and audio, in files and in trackers.

Figures are drawn by :mod:`deepspeech2.writer.plots`, which is imported where it is needed, as
pandas is for tables: both load slowly.
"""

from __future__ import annotations

from deepspeech2.writer.base import MultiWriter, NullWriter, Writer
from deepspeech2.writer.comet import CometWriter
from deepspeech2.writer.csv import CsvWriter
from deepspeech2.writer.jsonl import JsonlWriter
from deepspeech2.writer.mlflow import MlflowWriter
from deepspeech2.writer.tensorboard import TensorboardWriter
from deepspeech2.writer.wandb import WandbWriter

__all__ = [
    "CometWriter",
    "CsvWriter",
    "JsonlWriter",
    "MlflowWriter",
    "MultiWriter",
    "NullWriter",
    "TensorboardWriter",
    "WandbWriter",
    "Writer",
]
