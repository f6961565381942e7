"""Read pickles as data: a small machine follows their opcodes, and nothing that they name is run.

A pickle is a program that names classes and functions, and which of them to call with what. Here
containers, numbers and texts become what they are, tensors are views of bytes that were read
already, and whatever else is named becomes a :class:`Placeholder`. Nothing is imported. A name
that no checkpoint needs, such as ``os.system``, ends the reading.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

MOST_OPCODES = 1_000_000  # a checkpoint of a training has some forty for each tensor
MOST_VALUES = 4_000_000  # of all containers; one that several share counts for each of them
DEEPEST = 100

_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_VALUES = {
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINSTRING", "SHORT_BINSTRING",
    "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
}  # fmt: skip
_N_ITEMS = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}

# What configs, optimisers and metrics are made of. All of it becomes placeholders.
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
_KEYS = str | int | float | bytes | None  # of mappings, besides placeholders
_VALUES_OF_OMEGACONF = ("_content", "_val")  # of a container, and of a single value


@dataclass(eq=False, slots=True)
class Placeholder:
    """A class or function that a file named, or an object of it, without any behaviour.

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


def unpickle(
    stream: io.BytesIO, storage: Callable[[Any], Tensor], *, room: int, placeholders: bool
) -> Any:
    """Read the pickle at the position of ``stream``, which is left behind the pickle's end.

    Args:
        storage: returns the (N,) numbers that a persistent id names.
        room: bytes that all tensors may have together.
        placeholders: whether the value may contain :class:`Placeholder`.

    Raises:
        pickle.UnpicklingError: it names what is not allowed.
        ValueError: it is malformed, endless or too large.
    """
    machine = _Machine(storage, room)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of odd escapes in texts
        for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if count > MOST_OPCODES:
                raise ValueError(f"it has more than {MOST_OPCODES:,} instructions")
            try:
                machine.do(opcode.name, argument)
            except IndexError as error:
                raise ValueError(f"its {opcode.name} has nothing to work on") from error
    value = machine.pop()
    if _size(value, {}, placeholders) > MOST_VALUES:
        raise ValueError(f"it unfolds to more than {MOST_VALUES:,} values")
    return value


class _Machine:
    def __init__(self, storage: Callable[[Any], Tensor], room: int) -> None:
        self._storage = storage
        self._room = room
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []  # stacks under the marks
        self._memo: dict[int, Any] = {}

    def pop(self) -> Any:
        return self._stack.pop()

    def do(self, name: str, argument: Any) -> None:
        """Follow one instruction; IndexError if the stack or the memo lacks what it needs."""
        if name in _VALUES:
            if isinstance(argument, int) and argument.bit_length() > 64:
                raise ValueError("it has a whole number of more than 64 bits")
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in ("BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self._memo[len(self._memo) if argument is None else argument] = self._stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            if argument not in self._memo:
                raise IndexError
            self._stack.append(self._memo[argument])
        elif name in _N_ITEMS:
            items = [self.pop() for _ in range(_N_ITEMS[name])]
            self._stack.append(tuple(reversed(items)))
        else:
            step = getattr(self, f"_{name.lower()}", None)
            if step is None:
                raise ValueError(f"its instruction {name} is none that a checkpoint needs")
            step(*(() if argument is None else (argument,)))

    def _proto(self, version: int) -> None:
        if version > pickle.HIGHEST_PROTOCOL:
            raise ValueError(f"its pickle protocol {version} is not known")

    def _frame(self, _length: int) -> None: ...

    def _stop(self) -> None:
        if len(self._stack) != 1 or self._below:
            raise ValueError("it ends before it is complete")

    def _mark(self) -> None:
        self._below.append(self._stack)
        self._stack = []

    def _since_mark(self) -> list[Any]:
        items, self._stack = self._stack, self._below.pop()
        return items

    def _empty_list(self) -> None:
        self._stack.append([])

    def _empty_dict(self) -> None:
        self._stack.append({})

    def _tuple(self) -> None:
        items = tuple(self._since_mark())  # which changes the stack
        self._stack.append(items)

    def _append(self) -> None:
        self._extend([self.pop()])

    def _appends(self) -> None:
        self._extend(self._since_mark())

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list | Placeholder):
            raise ValueError(f"it appends to a {type(target).__name__}")
        (target.items if isinstance(target, Placeholder) else target).extend(items)

    def _setitem(self) -> None:
        value, key = self.pop(), self.pop()
        self._set([key, value])

    def _setitems(self) -> None:
        self._set(self._since_mark())

    def _set(self, flat: list[Any]) -> None:
        target, pairs = self._stack[-1], list(zip(flat[::2], flat[1::2], strict=True))
        if isinstance(target, Placeholder):
            target.items.extend(pairs)
        elif isinstance(target, dict):
            target.update(_mapping(pairs))
        else:
            raise ValueError(f"it sets items of a {type(target).__name__}")

    def _global(self, words: str) -> None:
        self._stack.append(_named(*words.split(" ", 1)))

    def _stack_global(self) -> None:
        name, module = self.pop(), self.pop()
        self._stack.append(_named(module, name))

    def _reduce(self) -> None:
        arguments, called = self.pop(), self.pop()
        if not isinstance(called, Placeholder) or not isinstance(arguments, tuple):
            raise ValueError(f"it calls a {type(called).__name__}")
        self._stack.append(self._made(called.name, arguments))

    _newobj = _reduce

    def _build(self) -> None:
        state = self.pop()
        target = self._stack[-1]
        if isinstance(target, Placeholder):
            target.build(state)
        elif not isinstance(target, dict):  # a state dict has versions of modules: not needed
            raise ValueError(f"it sets attributes of a {type(target).__name__}")

    def _binpersid(self) -> None:
        self._stack.append(self._storage(self.pop()))

    def _made(self, name: str, arguments: tuple[Any, ...]) -> Any:
        """Return the result of calling ``name``."""
        first = arguments[0] if arguments else None
        if name == "collections.OrderedDict":
            return {} if first is None else _mapping(first)
        if name == "collections.Counter" and isinstance(first, dict):
            return Counter(first)  # milestones of a schedule
        if name == "torch.Size" and isinstance(first, tuple):
            return first
        if name in ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2"):
            return self._tensor(*arguments[:4])
        if name == "torch._utils._rebuild_parameter" and isinstance(first, Tensor):
            return first
        return Placeholder(name, arguments)

    def _tensor(
        self, storage: Any = None, offset: Any = None, size: Any = None, stride: Any = None
    ) -> Tensor:
        """Return a view of a storage; ValueError if it reaches beyond it."""
        sound = (
            isinstance(storage, Tensor)
            and isinstance(size, tuple)
            and isinstance(stride, tuple)
            and len(size) == len(stride) <= 8
            and all(type(n) is int and 0 <= n < 2**48 for n in (offset, *size, *stride))
        )
        if not sound:
            raise ValueError("it has a tensor without a shape")
        n_numbers = math.prod(size)
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if n_numbers and last >= len(storage):
            raise ValueError("it has a tensor that reaches beyond its storage")
        self._room -= n_numbers * storage.element_size()
        if self._room < 0:
            raise ValueError("its tensors are larger than the file")
        return torch.as_strided(storage, size, stride, offset if n_numbers else 0)


def _mapping(pairs: Any) -> dict[Any, Any]:
    if not isinstance(pairs, list) or not all(map(_is_item, pairs)):
        raise ValueError("it has a mapping with keys that are no names and no numbers")
    return {pair[0]: pair[1] for pair in pairs}


def _size(value: Any, known: dict[int, int], placeholders: bool, depth: int = 0) -> int:
    """Count the values that a walk through ``value`` meets; sixteen characters count as one.

    Raises:
        pickle.UnpicklingError: one is a placeholder, where that is not allowed.
        ValueError: it is nested too deeply, or contains itself.
    """
    if isinstance(value, str | bytes):
        return 1 + len(value) // 16
    if isinstance(value, Placeholder) and not placeholders:
        raise pickle.UnpicklingError(value.name)
    if not isinstance(value, dict | list | tuple | Placeholder):
        return 1
    if depth > DEEPEST:
        raise ValueError(f"it is nested more than {DEEPEST} deep")
    if id(value) not in known:
        if isinstance(value, Placeholder):
            children: tuple[Any, ...] = (value.arguments, value.state, value.items)
        else:
            children = (*value.keys(), *value.values()) if isinstance(value, dict) else (*value,)
        sizes = (_size(each, known, placeholders, depth + 1) for each in children)
        known[id(value)] = 1 + sum(sizes)
    return known[id(value)]


def _named(module: Any, name: Any = "") -> Placeholder:
    """Return the placeholder of a class or function.

    Raises:
        pickle.UnpicklingError: no checkpoint needs it.
    """
    if isinstance(module, str) and isinstance(name, str):
        of_python = module in ("builtins", "__builtin__") and name in _TYPES
        if of_python or module.split(".")[0] in _PACKAGES or (module, name) in _OBJECTS:
            return Placeholder(f"{module}.{name}")
    raise pickle.UnpicklingError(f"{module}.{name}")


def _is_private(key: Any) -> bool:
    return isinstance(key, str) and key.startswith("_") and key not in _VALUES_OF_OMEGACONF


def _is_item(pair: Any) -> bool:
    """Whether it is a key with a quick hash, and a value."""
    return (
        isinstance(pair, tuple | list)
        and len(pair) == 2
        and isinstance(pair[0], _KEYS | Placeholder)
    )


def plain(value: Any) -> Any:
    """Return settings as dicts, lists, numbers and texts, out of omegaconf, enums and the like."""
    if isinstance(value, Placeholder):
        return _unwrapped(value)
    if isinstance(value, dict):
        keys = (key.name if isinstance(key, Placeholder) else key for key in value)
        return dict(zip(keys, map(plain, value.values()), strict=True))
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def _unwrapped(value: Placeholder) -> Any:
    state = value.state
    if isinstance(state, dict):
        inner = next((key for key in _VALUES_OF_OMEGACONF if key in state), None)
        return plain(state if inner is None else state[inner])
    if value.items:
        pairs = all(isinstance(item, tuple) and _is_item(item) for item in value.items)
        return plain(dict(value.items) if pairs else value.items)
    if len(value.arguments) == 1:  # an enum is made from its value
        return plain(value.arguments[0])
    return [plain(each) for each in value.arguments] or value.name
