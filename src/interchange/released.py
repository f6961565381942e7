"""``download_model.py``: the released checkpoint is fetched, and made ours if it is another's."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from src import checkpoint
from src.datasets.model_download import RELEASED, download_model
from src.errors import CheckpointError, SpeechError
from src.interchange.importing import import_checkpoint
from src.interchange.telling import summary
from src.network.fetch import checksum
from src.paths import resolve

OUTPUT = "models/pretrained/model_best.pth"


def original_of(output: Path) -> Path:
    """Where the file lies that ``output`` was made from."""
    return output.with_name(f"{output.name}.original")


def adopt(output: Path) -> list[str]:
    """Make ``output`` a checkpoint of ours if it is another program's, which is kept beside it.

    Returns:
        What was done, in lines for people; a file that is no checkpoint is left alone, and that
        is said.
    """
    original = original_of(output)
    if output.exists():
        try:
            checkpoint.load(output)
            return []
        except CheckpointError as error:
            reason = error
        try:
            made = output.with_name(f".{output.name}.imported")
            made.unlink(missing_ok=True)
            converted = import_checkpoint(output, made)
        except CheckpointError as error:
            return [f"note: inference.py cannot use it: {reason}; {error}"]
        output.replace(original)
        made.replace(output)
    else:
        converted = import_checkpoint(original, output)
    return [*summary(converted), f"imported from {original}, which is kept"]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of ``download_model.py``; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="download_model.py", description="Fetch the released checkpoint."
    )
    parser.add_argument("--url", default=RELEASED, help="default: the released file (%(default)s)")
    parser.add_argument("--sha256", help="checksum that the file must have")
    parser.add_argument("--output", default=OUTPUT, help="default: %(default)s")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds, default: %(default)g")
    options = parser.parse_args(arguments)
    output = resolve(options.output)
    original = original_of(output)
    fetched = original if original.exists() else output
    try:
        fresh = download_model(
            fetched, url=options.url, sha256=options.sha256, timeout=options.timeout
        )
        digest = checksum(fetched)
        told = adopt(output)
    except SpeechError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: what has arrived is kept and resumed next time", file=sys.stderr)
        return 130
    for line in told:
        print(line)
    if not fresh:
        print(f"{fetched} is there already and is kept")
    print(f"{output}\nSHA-256 {digest}")
    return 0
