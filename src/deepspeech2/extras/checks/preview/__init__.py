"""Training data, seen and heard before training starts."""

from deepspeech2.extras.checks.preview.examples import read, tell
from deepspeech2.extras.checks.preview.folder import PAGE, Story, claim, write
from deepspeech2.extras.checks.preview.page import render
from deepspeech2.extras.checks.preview.statistics import (
    Examined,
    examine,
    padding_at_random,
    unknown_characters,
)
from deepspeech2.extras.checks.preview.steps import steps

__all__ = [
    "PAGE",
    "Examined",
    "Story",
    "claim",
    "examine",
    "padding_at_random",
    "read",
    "render",
    "steps",
    "tell",
    "unknown_characters",
    "write",
]
