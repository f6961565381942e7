"""Make another program's checkpoint ours: python scripts/import_checkpoint.py FILE --output FILE"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.errors import run_command
from src.interchange import import_checkpoint
from src.interchange.telling import summary, table
from src.paths import typed


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns its exit status."""
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
    lines = summary(converted)
    print("\n".join(lines if options.quiet else [*table(converted.moves), *lines]))
    print(f"{options.output}: python inference.py inferencer.from_pretrained={options.output}")


if __name__ == "__main__":
    sys.exit(main())
