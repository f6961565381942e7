"""Training data, seen and heard before training starts."""

from src.preview.folder import PAGE, Story, claim, write
from src.preview.page import render
from src.preview.statistics import Examined, examine, padding_at_random, unknown_characters
from src.preview.steps import steps
from src.preview.telling import read, tell

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
