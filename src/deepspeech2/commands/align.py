"""Forced alignment from the command line."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict

from deepspeech2 import plugins
from deepspeech2.commands.model_options import add_model_options
from deepspeech2.errors import run_command
from deepspeech2.inference import Recognizer
from deepspeech2.paths import typed


def main(arguments: Sequence[str] | None = None) -> int:
    """Print when each word is said; returns the exit status."""
    parser = argparse.ArgumentParser(description="Print when each word of a known text is said.")
    parser.add_argument("audio", type=typed, metavar="AUDIO", help="any recording")
    parser.add_argument("--text", required=True, help="what is said in it, all of it")
    add_model_options(parser)
    parser.add_argument(
        "--delay",
        type=float,
        metavar="SECONDS",
        help="how much later than the sound the model marks it; measured if not given",
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object, characters included"
    )
    options = parser.parse_args(arguments)
    return run_command(lambda: _align(options))


def _align(options: argparse.Namespace) -> None:
    plugins.load(options.plugin)
    recognizer = Recognizer.from_checkpoint(options.checkpoint, device=options.device)
    alignment = recognizer.align(options.audio, options.text, delay=options.delay)
    if options.json:
        print(json.dumps(asdict(alignment), ensure_ascii=False))
    else:
        print("  start      end  confidence  word")
        for word in alignment.words:
            print(f"{word.start:7.2f}  {word.end:7.2f}  {word.confidence:10.2f}  {word.word}")
