"""Write checkpoints whole or not at all, and read them without running anything."""

from __future__ import annotations

import hashlib
import json
import os
import reprlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deepspeech2.checkpoint import onnx_file, safetensors_file, torch_file
from deepspeech2.errors import CheckpointError
from deepspeech2.files import locked, whole_file

FORMAT = "deepspeech2-checkpoint"
VERSION = 1

_READERS: dict[str, Callable[[Path], Any]] = {
    onnx_file.SUFFIX: onnx_file.read,
    safetensors_file.SUFFIX: safetensors_file.read,
}
_KINDS: dict[str, Any] = {
    "recipe": dict, "state_dict": dict, "metrics": dict, "config": dict | None, "training": dict,
    "epoch": int | None, "step": int | None, "weights": str, "arch": str, "origin": dict,
}  # fmt: skip
_CONTENTS: dict[str, Any] = {"recipe": dict, "state_dict": Tensor, "metrics": int | float}


def save(payload: Mapping[str, Any], path: Path) -> None:
    """Write a checkpoint so that ``path`` is the old file or the whole new one.

    Raises:
        CheckpointError: it could not be written, as when the disk is full, or is of ONNX.
    """
    check_writable(path)
    if onnx_file.SESSION in payload:
        check_writable(path.with_suffix(onnx_file.SUFFIX))
    content = {"format": FORMAT, "version": VERSION, **payload}
    try:
        with whole_file(path) as file:
            if path.suffix == safetensors_file.SUFFIX:
                file.write(safetensors_file.encode(content, path))
            else:  # by the name of a file torch would put that into the bytes
                torch.save(content, file)
    except (OSError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} could not be written ({_reason(error)}); what was there before is whole: free"
            " some space or choose another trainer.save_dir"
        ) from error


def _reason(error: BaseException) -> str:
    """Return the system's message, which torch replaces by one of its own."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__context__
    return (cause and cause.strerror) or str(error)


def check_writable(path: Path) -> None:
    """Raise CheckpointError for a file of ONNX, which :func:`save` does not write."""
    if path.suffix == onnx_file.SUFFIX:
        raise CheckpointError(
            f"{path} is of ONNX, which only deepspeech2 export writes: change the checkpoint that"
            " it comes from, and export that"
        )


@contextmanager
def reserved(path: Path) -> Iterator[None]:
    """Keep other processes from measuring the checkpoint ``path`` in order to change it.

    Raises:
        CheckpointError: its folder, where the results go, cannot be written.
        ConfigError: another process has it.
    """
    if not path.is_file():  # reading it reports that
        yield
        return
    real = path.resolve()
    for folder in (path.parent, real.parent):
        effective = os.access in os.supports_effective_ids
        if not os.access(folder, os.W_OK, effective_ids=effective):
            raise CheckpointError(
                f"{folder} cannot be written: copy {path.name} to a folder of yours, and name the"
                " copy as inferencer.from_pretrained"
            )
    busy = f"another process tunes or calibrates {path}: wait until it ends, or copy the file"
    with locked(real.with_name(f".{real.name}.lock"), busy):
        yield


def change(path: Path, origin: str | None, changes: Callable[[dict[str, Any]], None]) -> None:
    """Change the content of a checkpoint, if it is still the file that was read.

    Args:
        path: the checkpoint.
        origin: SHA-256 of the file whose network was measured.
        changes: changes the content in place.

    Raises:
        CheckpointError: another file has taken its place, or it cannot be read or written.
    """
    if hashlib.sha256(path.read_bytes()).hexdigest() != origin:
        raise CheckpointError(
            f"{path} has changed since its network was measured, so nothing was written into it:"
            " wait until its training has ended, and start again"
        )
    content = load(path)
    changes(content)
    save(content, path)


def network_digest(path: Path) -> str:
    """Return the SHA-256 of what log-probabilities depend on: the weights, and the recipe without
    the decoder.

    Raises:
        CheckpointError: the file is no checkpoint.
    """
    content = load(path)
    if onnx_file.SESSION in content:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    recipe = {key: value for key, value in content["recipe"].items() if key != "decoder"}
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True, default=str).encode())
    for name, value in sorted(content["state_dict"].items()):
        digest.update(name.encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint without executing anything from it.

    Raises:
        CheckpointError: missing, cut off, or not one of ours.
    """
    torch_file.check_regular(path)
    content = _READERS.get(path.suffix, torch_file.read)(path)
    if isinstance(content, dict) and path.suffix != onnx_file.SUFFIX:
        content.pop(onnx_file.SESSION, None)  # a session is made, never read
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is not a checkpoint of this project: key 'format' is not {FORMAT!r}"
        )
    if content.get("version") != VERSION:
        raise CheckpointError(
            f"{path} has version {reprlib.repr(content.get('version'))}, but this code reads"
            f" {VERSION}"
        )
    _check_kinds(content, path)
    return content


def _check_kinds(content: Mapping[str, Any], path: Path) -> None:
    """Raise CheckpointError unless everything in a checkpoint is of the right kind."""
    for key in ("recipe", "state_dict"):
        if key not in content:
            raise CheckpointError(f"{path} lacks key {key!r}")
    for key, kinds in _KINDS.items():
        if key in content and not isinstance(content[key], kinds):
            raise CheckpointError(f"{path} is damaged: its {key!r} is {reprlib.repr(content[key])}")
    for key, kind in _CONTENTS.items():
        for name, value in content.get(key, {}).items():
            if not isinstance(name, str) or not isinstance(value, kind):
                raise CheckpointError(
                    f"{path} is damaged: {key!r} has {reprlib.repr(name)} with"
                    f" {reprlib.repr(value)}"
                )
    if "training" in content and type(content.get("step")) is not int:
        raise CheckpointError(f"{path} is damaged: it has a training without a number of steps")
