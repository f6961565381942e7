"""The options of commands that listen with a model."""

from __future__ import annotations

import argparse
from pathlib import Path

from deepspeech2 import plugins
from deepspeech2.paths import typed


def add_model_options(parser: argparse.ArgumentParser, what: str = "the model") -> None:
    """Add ``--checkpoint``, the one in the box by default, ``--device`` and ``--plugin``."""
    parser.add_argument(
        "--checkpoint",
        type=typed,
        default=Path("models/english.pth"),
        metavar="PATH",
        help=f"{what} (default: %(default)s)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    plugins.add_option(parser)
