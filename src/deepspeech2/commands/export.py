"""``scripts/export.py``: write a checkpoint for recognition, with a model card beside it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from deepspeech2 import plugins
from deepspeech2.errors import CheckpointError, run_command
from deepspeech2.escaping import one_line
from deepspeech2.extras.interchange.exporting import card, export, recorded
from deepspeech2.files import write_whole
from deepspeech2.http.fetch import checksum
from deepspeech2.paths import resolve, typed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
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
    plugins.add_option(parser)
    options = parser.parse_args(arguments)
    return run_command(lambda: _export(options))


def _export(options: argparse.Namespace) -> None:
    plugins.load(options.plugin)
    card_path = options.card or options.output.with_name(f"{options.output.name}.md")
    digest = checksum(options.checkpoint)
    undo = ExitStack()

    def write_card(content: Mapping[str, Any]) -> None:
        text = card(
            content,
            recorded(resolve(options.results), (digest, content["exported_from"])),
            name=options.output.name,
            licence=options.licence,
            data=options.data,
        )
        if not card_path.exists():
            write_whole(card_path, text)
            undo.callback(card_path.unlink, missing_ok=True)
        # an export that was killed before it wrote the model has left the same card
        elif card_path.read_bytes() != text.encode():
            raise CheckpointError(f"{card_path} is there already and is kept: name another --card")

    # a card without its model is removed, but none that another export wrote
    with undo:
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
    print(one_line(f"{card_path}: its card"))
