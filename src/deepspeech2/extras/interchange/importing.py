"""Make checkpoints of other programs ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepspeech2 import checkpoint
from deepspeech2.checkpoint import torch_file
from deepspeech2.errors import CheckpointError
from deepspeech2.escaping import printable
from deepspeech2.extras.interchange import deepspeech_pytorch, predecessor
from deepspeech2.extras.interchange.mapping import Converted
from deepspeech2.files import alone
from deepspeech2.http.fetch import checksum

_KNOWN = (
    (predecessor.fits, predecessor.convert),
    (deepspeech_pytorch.fits, deepspeech_pytorch.convert),
)


def convert(path: Path) -> Converted:
    """Convert the network of another program's checkpoint to ours.

    Raises:
        CheckpointError: it cannot be read safely, is of no known program, or its weights do not
            make a network; names the file and the reason.
    """
    content = torch_file.read(path, placeholders=True)
    weights = _weights(content, path)
    for fits, make in _KNOWN:
        if fits(weights):
            try:
                converted = make(content, weights)
            except CheckpointError as error:
                raise CheckpointError(f"{path} cannot be imported: {error}") from error
            checkpoint.restore({"recipe": converted.recipe, "state_dict": converted.weights}, path)
            return converted
    if content.get("format") == checkpoint.FORMAT:
        raise CheckpointError(f"{path} is a checkpoint of this project already: use it as it is")
    raise CheckpointError(
        f"{path} is a checkpoint of neither the predecessor nor deepspeech.pytorch: its weights"
        f" begin with {', '.join(map(printable, list(weights)[:3])) or 'nothing'}"
    )


def import_checkpoint(source: Path, output: Path) -> Converted:
    """Write ``source`` as one of our checkpoints to ``output``, which must not exist.

    Raises:
        CheckpointError: see :func:`convert`, or ``output`` exists or cannot be written.
        ConfigError: another process writes ``output``.
    """
    with alone(output):
        if output.exists():
            raise CheckpointError(
                f"{output} is there already and is kept: move it away or name another --output"
            )
        converted = convert(source)
        payload = {
            "arch": converted.recipe["model"]["name"],
            "recipe": converted.recipe,
            "state_dict": dict(converted.weights),
            "epoch": converted.epoch if type(converted.epoch) is int else None,
            "metrics": {},
            "config": converted.config if isinstance(converted.config, dict) else None,
            "origin": {"kind": converted.kind, "sha256": checksum(source)},
        }
        checkpoint.save(payload, output)
        return converted


def summary(converted: Converted) -> list[str]:
    """Return a few lines for people: what was taken, made and left out."""
    taken = sum(move.source is not None for move in converted.moves)
    made = len(converted.moves) - taken
    # statistics of batch normalisation are no parameters
    n_parameters = sum(
        weight.numel() for key, weight in converted.weights.items() if "running_" not in key
    )
    lines = [
        f"{converted.kind}: {n_parameters:,} parameters; {taken} of its weights have a place"
        f" here{f', {made} were made' if made else ''}"
    ]
    if converted.unused:
        lines.append(f"left out: {', '.join(map(printable, converted.unused))}")
    return lines + [f"note: {note}" for note in converted.notes]


def _weights(content: Any, path: Path) -> Mapping[str, Any]:
    """The state dict of a file's content, without what wrappers put before each key."""
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} contains no mapping, so it is no checkpoint to import")
    found = content.get("state_dict", content)
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} lacks a mapping under 'state_dict'")
    names = [key for key in found if isinstance(key, str)]
    wrapped = bool(names) and all(key.startswith("module.") for key in names)
    return {key.removeprefix("module.") if wrapped else key: found[key] for key in names}
