"""Checkpoints as safetensors: the tensors, and everything else as JSON in the header.

Other programs read the tensors by https://github.com/huggingface/safetensors; nothing in such a
file can run. Only what inference needs is written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from deepspeech2.errors import CheckpointError
from deepspeech2.escaping import first_line

SUFFIX = ".safetensors"
_KEY = "deepspeech2"  # of the header, where the rest of the checkpoint is


def encode(content: Mapping[str, Any], path: Path) -> bytes:
    """Return the bytes of the checkpoint ``content``, which is meant for ``path``.

    Raises:
        CheckpointError: it contains what only resuming needs, or what JSON cannot express.
    """
    if "training" in content:
        raise CheckpointError(
            f"{path} is for inference, but the checkpoint contains the state of a training: use"
            " model_best.pth, or deepspeech2 export"
        )
    rest = {key: value for key, value in content.items() if key != "state_dict"}
    try:
        header = json.dumps(rest, allow_nan=True)
    except TypeError as error:
        raise CheckpointError(f"{path} cannot contain the checkpoint: {error}") from error
    tensors = {key: value.contiguous() for key, value in content["state_dict"].items()}
    return save(tensors, metadata={"format": "pt", _KEY: header})


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint.

    Raises:
        CheckpointError: cut off, no safetensors, or not written here.
    """
    try:
        with safe_open(path, "pt") as file:
            header = (file.metadata() or {}).get(_KEY)
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is cut off or no safetensors file ({first_line(error)})"
        ) from error
    if header is None:
        raise CheckpointError(
            f"{path} contains tensors alone: its header lacks {_KEY!r}, which says what network"
            " they belong to"
        )
    return {**parse_header(header, path), "state_dict": tensors}


def parse_header(header: str, path: Path) -> dict[str, Any]:
    """Parse the JSON in a file's metadata, all of a checkpoint but its weights.

    Raises:
        CheckpointError: it is no JSON object.
    """
    try:
        rest = json.loads(header)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is damaged: its metadata are no JSON ({first_line(error)})"
        ) from error
    if not isinstance(rest, dict):
        raise CheckpointError(f"{path} is damaged: its metadata are no mapping")
    return rest
