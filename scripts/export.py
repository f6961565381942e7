"""A checkpoint for others: python scripts/export.py CHECKPOINT --output MODEL.safetensors"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.errors import CheckpointError, run_command
from src.escaping import one_line
from src.files import write_whole
from src.interchange.exporting import card, export
from src.network.fetch import checksum
from src.paths import resolve, typed
from src.results.rows import read


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns its exit status."""
    parser = argparse.ArgumentParser(
        description="Write what recognition needs of a checkpoint, with a model card beside it."
    )
    parser.add_argument("checkpoint", type=typed)
    parser.add_argument(
        "--output", type=Path, required=True, help="ends in .pth, .safetensors or .onnx"
    )
    parser.add_argument("--int8", action="store_true", help="weights in 8 bits, for .onnx")
    parser.add_argument(
        "--streaming", action="store_true", help="for recordings piece by piece, for .onnx"
    )
    parser.add_argument("--card", type=Path, help="(default: the output's name and .md)")
    parser.add_argument("--licence", default="mit", help="of the weights (default: %(default)s)")
    parser.add_argument("--data", default="", help="what it was trained on, in a sentence")
    parser.add_argument(
        "--results",
        type=typed,
        default=Path("results/results.jsonl"),
        help="(default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    return run_command(lambda: _export(options))


def _export(options: argparse.Namespace) -> None:
    place = options.card or options.output.with_name(f"{options.output.name}.md")
    results = resolve(options.results)
    rows = read(results) if results.exists() else []
    digest = checksum(options.checkpoint)
    undo = ExitStack()

    def write_card(content: Mapping[str, Any]) -> None:
        told = card(
            content,
            [row for row in rows if row.checkpoint_sha256 in (digest, content["exported_from"])],
            name=options.output.name,
            licence=options.licence,
            data=options.data,
        )
        if not place.exists():
            write_whole(place, told)
            undo.callback(place.unlink, missing_ok=True)
        # ours is the same: of an export that was killed before the model was there
        elif place.read_bytes() != told.encode():
            raise CheckpointError(f"{place} is there already and is kept: name another --card")

    with undo:  # no card without its model, and none that another export wrote is removed
        export(
            options.checkpoint,
            options.output,
            int8=options.int8,
            streaming=options.streaming,
            before=write_card,
        )
        undo.pop_all()
    before, after = options.checkpoint.stat().st_size, options.output.stat().st_size
    sizes = f"{after / 1e6:.1f} MB of {before / 1e6:.1f} MB"
    print(one_line(f"{options.output}: {sizes}, SHA-256 {checksum(options.output)}"))
    print(one_line(f"{place}: its card"))


if __name__ == "__main__":
    sys.exit(main())
