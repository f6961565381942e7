"""``download_model.py``: download a model, verify it, and convert it if it is another program's."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepspeech2 import checkpoint
from deepspeech2.errors import SIGNALLED, CheckpointError, run_command
from deepspeech2.extras.interchange.importing import import_checkpoint, summary
from deepspeech2.extras.interchange.registry import REGISTRY, Model, find, read
from deepspeech2.http.fetch import checksum
from deepspeech2.http.model_download import copy_model, download_model
from deepspeech2.paths import at_home, resolve, typed


def original_of(output: Path) -> Path:
    """Return the path of the file that ``output`` was made from."""
    return output.with_name(f"{output.name}.original")


def adopt(output: Path) -> list[str]:
    """Make ``output`` a checkpoint of ours if it is another program's, which is kept beside it.

    A file that is no checkpoint is left alone.

    Returns:
        What was done, in lines for people.
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


def arguments_of(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="download_model.py", description="Fetch a model, and make it ours if it is another's."
    )
    parser.add_argument("name", nargs="?", help=f"of {REGISTRY} (default: its first)")
    parser.add_argument("--list", action="store_true", help="list the models that are known")
    parser.add_argument("--url", help="fetch this address instead of the model's own")
    parser.add_argument("--from-file", type=typed, help="take this file, downloaded in another way")
    parser.add_argument("--sha256", help="checksum that the file must have")
    parser.add_argument(
        "--unchecked", action="store_true", help="take what comes where no checksum is known"
    )
    parser.add_argument("--output", type=Path, help="(default: the model's own place)")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds, default: %(default)g")
    return parser.parse_args(words)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    options = arguments_of(arguments)
    status = run_command(lambda: _run(options))
    if status > SIGNALLED:
        print("what has arrived is kept and resumed next time", file=sys.stderr)
    return status


def _run(options: argparse.Namespace) -> None:
    models = read(resolve(REGISTRY))
    if options.list:
        for model in models:
            print(model)
        return
    _provide(find(models, options.name) if options.name else models[0], options)


def _provide(model: Model, options: argparse.Namespace) -> None:
    """Download or copy the model, verify it, convert it, and print what was done."""
    output = at_home(options.output or resolve(model.output)).absolute()
    original = original_of(output)
    fetched = original if original.exists() else output
    own = options.url is None  # another address may have another file
    known: dict[str, Any] = {
        "sha256": options.sha256 or (model.sha256 if own else None),
        "size": model.size if own and not options.sha256 else None,
    }
    if options.from_file is not None:
        fresh = copy_model(options.from_file, fetched, **known)
    else:
        sources = model.sources if own else [options.url]
        fresh = download_model(
            fetched, sources, timeout=options.timeout, unchecked=options.unchecked, **known
        )
    digest = checksum(fetched)
    for line in adopt(output):
        print(line)
    if not fresh:
        print(f"{fetched} is there already and is kept")
    print(f"{output}\nSHA-256 {digest}")
