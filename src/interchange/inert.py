"""Checkpoints that other programs pickled, read without executing anything of them.

A pickle names classes and functions and says what to call. Here tensors are rebuilt, and
whatever else a file names becomes an :class:`Inert` object that keeps what was stored about it
and can do nothing. A name that no checkpoint needs, such as ``os.system``, ends the reading.
"""

from __future__ import annotations

import pickle
import types
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
import torch._utils

from src.errors import CheckpointError

# Functions that a pickled tensor is rebuilt with: they take storages that torch has read itself.
_REBUILT: dict[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor"): torch._utils._rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
    ("collections", "OrderedDict"): OrderedDict,
}
# What configs, optimisers and metrics are made of. All of it becomes inert.
_PACKAGES = (
    "omegaconf", "hydra", "argparse", "enum", "pathlib", "datetime", "collections", "numpy",
    "torch", "torchaudio", "pytorch_lightning", "lightning", "deepspeech_pytorch", "src", "model",
    "copyreg", "copy_reg",
)  # fmt: skip
_TYPES = {
    "bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "long",
    "object", "range", "set", "slice", "str", "tuple", "unicode", "xrange",
}  # fmt: skip
_OBJECTS = {("typing", "Any"), ("typing", "Union"), ("typing", "Optional")}


class Inert:
    """An object of a class that a file named: what was stored about it, and no behaviour.

    Attributes:
        arguments: what it was to be made from.
        state: its attributes, as they were pickled.
        items: what it held as a list or a mapping.
    """

    name = ""
    arguments: tuple[Any, ...]
    state: Any
    items: list[Any]

    def __new__(cls, *arguments: Any, **_options: Any) -> Inert:
        self = super().__new__(cls)
        self.arguments, self.state, self.items = arguments, None, []
        return self

    def __init__(self, *_arguments: Any, **_options: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items.append((key, value))

    def append(self, item: Any) -> None:
        self.items.append(item)

    def extend(self, items: Any) -> None:
        self.items.extend(items)

    def add(self, item: Any) -> None:
        self.items.append(item)

    def update(self, items: Any) -> None:
        self.items.extend(items)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        rebuilt = _REBUILT.get((module, name))
        if rebuilt is not None:
            return rebuilt
        known = (
            module.split(".")[0] in _PACKAGES
            or (module in ("builtins", "__builtin__") and name in _TYPES)
            or (module, name) in _OBJECTS
        )
        if not known:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return type(name.replace(".", "_"), (Inert,), {"name": f"{module}.{name}"})


def _load(file: Any, **options: Any) -> Any:
    return _Unpickler(file, **options).load()


# torch takes a module of this shape in the place of pickle.
_SAFE = types.SimpleNamespace(__name__="inert", Unpickler=_Unpickler, load=_load)


def read(path: Path) -> Any:
    """The content of a checkpoint of ``torch.save``, in which every object is inert.

    Raises:
        CheckpointError: missing, cut off, no checkpoint, or it names what no checkpoint needs.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist: name the checkpoint to import")
    _refuse_programs(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=False, pickle_module=_SAFE)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} wants more than tensors, containers and settings, so nothing of it was taken"
            f" and nothing was run ({error})"
        ) from error
    except Exception as error:  # bytes that are no checkpoint make the reader raise anything
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{path} is cut off or no checkpoint ({first[:200]})") from error


def _refuse_programs(path: Path) -> None:
    """TorchScript files hold code, and torch would hand them to another reader."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        if any(Path(name).name == "constants.pkl" for name in archive.namelist()):
            raise CheckpointError(
                f"{path} is a TorchScript program, not a checkpoint: import what it was made from"
            )


def plain(value: Any) -> Any:
    """Settings as dicts, lists, numbers and texts: what omegaconf, enums and dataclasses held."""
    if isinstance(value, Inert):
        return _unwrapped(value)
    if isinstance(value, dict):
        return {plain(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value


def _unwrapped(value: Inert) -> Any:
    state = value.state
    if isinstance(state, dict):
        for key in ("_content", "_val"):  # a container, a value of omegaconf
            if key in state:
                return plain(state[key])
        return {key: plain(each) for key, each in state.items() if not str(key).startswith("_")}
    if value.items:
        pairs = all(isinstance(item, tuple) and len(item) == 2 for item in value.items)
        return plain(dict(value.items) if pairs else value.items)
    if len(value.arguments) == 1:  # an enum is made from its value
        return plain(value.arguments[0])
    return [plain(each) for each in value.arguments] or value.name
