"""A preview of training data: numbers, charts and examples on one page."""

from deepspeech2.extras.checks.preview.examples import draw_examples, read_samples, steps
from deepspeech2.extras.checks.preview.page import PAGE, check_folder, render, write
from deepspeech2.extras.checks.preview.statistics import (
    CorpusStatistics,
    charts,
    examine,
    unknown_characters,
)

__all__ = [
    "PAGE",
    "CorpusStatistics",
    "charts",
    "check_folder",
    "draw_examples",
    "examine",
    "read_samples",
    "render",
    "steps",
    "unknown_characters",
    "write",
]
