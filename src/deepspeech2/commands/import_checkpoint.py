"""``scripts/import_checkpoint.py``: make other programs' checkpoints ours."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from deepspeech2.errors import run_command
from deepspeech2.extras.interchange.importing import import_checkpoint, summary
from deepspeech2.paths import typed
from deepspeech2.tables import text_table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(
        description="Make a checkpoint of the predecessor or of deepspeech.pytorch ours."
    )
    parser.add_argument("checkpoint", type=typed, help="the other program's file; it is only read")
    parser.add_argument("--output", type=Path, required=True, help="must not exist yet")
    parser.add_argument("--quiet", action="store_true", help="do not list every weight")
    options = parser.parse_args(arguments)
    return run_command(lambda: _import(options))


def _import(options: argparse.Namespace) -> None:
    converted = import_checkpoint(options.checkpoint, options.output)
    if not options.quiet:
        rows = [
            (move.source or "-", move.target, "x".join(map(str, move.shape)) or "1", move.note)
            for move in converted.moves
        ]
        print(text_table(("theirs", "ours", "shape", "note"), rows))
    print("\n".join(summary(converted)))
    print(f"{options.output}: python inference.py inferencer.from_pretrained={options.output}")
