"""Records of what a pickle named, which have no behaviour, and the settings that they held."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from typing import Any

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
_OBJECTS = {("typing", "Any"), ("typing", "Union"), ("typing", "Optional"), ("_codecs", "encode")}
KEYS = str | int | float | bytes | None
"""Of mappings, besides records; their hashes are quick."""
_KEPT = ("_content", "_val")  # of a container and of a value of omegaconf


@dataclass(eq=False, slots=True)
class Inert:
    """A class or function that a file named, or an object of it: what was stored, no behaviour.

    Attributes:
        name: module and name.
        arguments: what it was to be made from.
        state: its public attributes, as they were pickled.
        items: what it contained as a list, or the pairs that it contained as a mapping.
    """

    name: str
    arguments: tuple[Any, ...] = ()
    state: Any = None
    items: list[Any] = field(default_factory=list)

    def build(self, state: Any) -> None:
        """Take a state without private attributes, such as the parent of a value of omegaconf."""
        if isinstance(state, dict):
            state = {key: each for key, each in state.items() if not _is_private(key)}
        self.state = state


def named(module: Any, name: Any = "") -> Inert:
    """A record of a class or function.

    Raises:
        pickle.UnpicklingError: no checkpoint needs it.
    """
    if isinstance(module, str) and isinstance(name, str):
        of_python = module in ("builtins", "__builtin__") and name in _TYPES
        if of_python or module.split(".")[0] in _PACKAGES or (module, name) in _OBJECTS:
            return Inert(f"{module}.{name}")
    raise pickle.UnpicklingError(f"{module}.{name}")


def _is_private(key: Any) -> bool:
    return isinstance(key, str) and key.startswith("_") and key not in _KEPT


def plain(value: Any) -> Any:
    """Settings as dicts, lists, numbers and texts: what omegaconf, enums and dataclasses held."""
    if isinstance(value, Inert):
        return _unwrapped(value)
    if isinstance(value, dict):
        return {
            key.name if isinstance(key, Inert) else key: plain(each) for key, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def _unwrapped(value: Inert) -> Any:
    state = value.state
    if isinstance(state, dict):
        for key in _KEPT:
            if key in state:
                return plain(state[key])
        return plain(state)
    if value.items:
        pairs = all(
            isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], KEYS | Inert)
            for item in value.items
        )
        return plain(dict(value.items) if pairs else value.items)
    if len(value.arguments) == 1:  # an enum is made from its value
        return plain(value.arguments[0])
    return [plain(each) for each in value.arguments] or value.name
