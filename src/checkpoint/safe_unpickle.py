"""Pickles as data: a small machine follows their opcodes, and nothing that they name is run.

A pickle is a program that names classes and functions and says what to call with what. Here
containers, numbers and texts become what they are, tensors are views of bytes that were read
already, and whatever else is named becomes an :class:`Inert` record. Nothing is imported. A name
that no checkpoint needs, such as ``os.system``, ends the reading.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

MOST_OPCODES = 1_000_000
"""Of a pickle; a checkpoint of a training has some forty for each tensor."""
MOST_VALUES = 4_000_000
"""Of all containers together, where a value that several share counts for each of them."""
DEEPEST = 100

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
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_VALUES = {
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINSTRING", "SHORT_BINSTRING",
    "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
}  # fmt: skip
_N_ITEMS = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_KEYS = str | int | float | bytes | None


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


def unpickle(
    stream: io.BytesIO, storage: Callable[[Any], Tensor], *, room: int, inert: bool
) -> Any:
    """The value of the pickle that begins where ``stream`` stands; leaves it behind its end.

    Args:
        storage: (N,) what a persistent id names.
        room: bytes that all tensors may have together.
        inert: whether there may be :class:`Inert` records.

    Raises:
        pickle.UnpicklingError: it names what is not allowed.
        ValueError: it is malformed, endless or too large.
    """
    machine = _Machine(storage, room)
    for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        if count > MOST_OPCODES:
            raise ValueError(f"it has more than {MOST_OPCODES:,} instructions")
        try:
            machine.do(opcode.name, argument)
        except IndexError as error:
            raise ValueError(f"its {opcode.name} has nothing to work on") from error
    value = machine.pop()
    if _size(value, {}, inert=inert) > MOST_VALUES:
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
            n_items = _N_ITEMS[name]
            items = [self.pop() for _ in range(n_items)]
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
        items = self._since_mark()
        self._stack.append(tuple(items))

    def _append(self) -> None:
        self._extend([self.pop()])

    def _appends(self) -> None:
        self._extend(self._since_mark())

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list | Inert):
            raise ValueError(f"it appends to a {type(target).__name__}")
        (target.items if isinstance(target, Inert) else target).extend(items)

    def _setitem(self) -> None:
        value, key = self.pop(), self.pop()
        self._set([key, value])

    def _setitems(self) -> None:
        self._set(self._since_mark())

    def _set(self, flat: list[Any]) -> None:
        target, pairs = self._stack[-1], list(zip(flat[::2], flat[1::2], strict=True))
        if isinstance(target, Inert):
            target.items.extend(pairs)
        elif isinstance(target, dict):
            target.update(_mapping(pairs))
        else:
            raise ValueError(f"it sets items of a {type(target).__name__}")

    def _global(self, words: str) -> None:
        self._name(*words.split(" ", 1))

    def _stack_global(self) -> None:
        name, module = self.pop(), self.pop()
        self._name(module, name)

    def _name(self, module: Any, name: Any = "") -> None:
        known = (
            isinstance(module, str)
            and isinstance(name, str)
            and (
                module.split(".")[0] in _PACKAGES
                or (module in ("builtins", "__builtin__") and name in _TYPES)
                or (module, name) in _OBJECTS
            )
        )
        if not known:
            raise pickle.UnpicklingError(f"{module}.{name}")
        self._stack.append(Inert(f"{module}.{name}"))

    def _reduce(self) -> None:
        arguments, called = self.pop(), self.pop()
        if not isinstance(called, Inert) or not isinstance(arguments, tuple):
            raise ValueError(f"it calls a {type(called).__name__}")
        self._stack.append(self._made(called.name, arguments))

    _newobj = _reduce

    def _build(self) -> None:
        state = self.pop()
        target = self._stack[-1]
        if isinstance(target, Inert):
            target.state = _public(state) if isinstance(state, dict) else state
        elif not isinstance(target, dict):  # a state dict has versions of modules: not needed
            raise ValueError(f"it sets attributes of a {type(target).__name__}")

    def _binpersid(self) -> None:
        self._stack.append(self._storage(self.pop()))

    def _made(self, name: str, arguments: tuple[Any, ...]) -> Any:
        """What comes of calling ``name``."""
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
        return Inert(name, arguments)

    def _tensor(
        self, storage: Any = None, offset: Any = None, size: Any = None, stride: Any = None
    ) -> Tensor:
        """A view of a storage, which lies within it."""
        sound = (
            isinstance(storage, Tensor)
            and isinstance(size, tuple)
            and isinstance(stride, tuple)
            and len(size) == len(stride) <= 8
            and all(type(n) is int and 0 <= n < 2**48 for n in (offset, *size, *stride))
        )
        if not sound:
            raise ValueError("it has a tensor without a shape")
        n_numbers = 1
        for length in size:
            n_numbers *= length
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if n_numbers and last >= len(storage):
            raise ValueError("it has a tensor that reaches beyond its storage")
        self._room -= n_numbers * storage.element_size()
        if self._room < 0:
            raise ValueError("its tensors are larger than the file")
        return torch.as_strided(storage, size, stride, offset if n_numbers else 0)


def _public(state: dict[Any, Any]) -> dict[Any, Any]:
    """Without private attributes, such as the parent that each value of omegaconf names."""
    kept = ("_content", "_val")  # a container, a value of omegaconf
    return {key: each for key, each in state.items() if key in kept or str(key)[:1] != "_"}


def _mapping(pairs: Any) -> dict[Any, Any]:
    """A dict of pairs whose keys have quick hashes."""
    if not isinstance(pairs, list) or not all(
        isinstance(pair, tuple | list) and len(pair) == 2 and isinstance(pair[0], _KEYS | Inert)
        for pair in pairs
    ):
        raise ValueError("it has a mapping with keys that are no names and no numbers")
    return {pair[0]: pair[1] for pair in pairs}


def _size(value: Any, known: dict[int, int], depth: int = 0, *, inert: bool) -> int:
    """Number of values that a walk through ``value`` meets; sixteen characters count as one.

    Raises:
        pickle.UnpicklingError: one is inert, where that is not allowed.
        ValueError: it is nested too deeply, or contains itself.
    """
    if isinstance(value, str | bytes):
        return 1 + len(value) // 16
    if isinstance(value, Inert) and not inert:
        raise pickle.UnpicklingError(value.name)
    if not isinstance(value, dict | list | tuple | Inert):
        return 1
    if depth > DEEPEST:
        raise ValueError(f"it is nested more than {DEEPEST} deep")
    if id(value) not in known:
        if isinstance(value, Inert):
            children: tuple[Any, ...] = (value.arguments, value.state, value.items)
        else:
            children = (*value.keys(), *value.values()) if isinstance(value, dict) else (*value,)
        sizes = (_size(each, known, depth + 1, inert=inert) for each in children)
        known[id(value)] = 1 + sum(sizes)
    return known[id(value)]


def plain(value: Any) -> Any:
    """Settings as dicts, lists, numbers and texts: what omegaconf, enums and dataclasses held."""
    if isinstance(value, Inert):
        return _unwrapped(value)
    if isinstance(value, dict):
        named = ((key.name if isinstance(key, Inert) else key, each) for key, each in value.items())
        return {key: plain(each) for key, each in named}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def _unwrapped(value: Inert) -> Any:
    state = value.state
    if isinstance(state, dict):
        for key in ("_content", "_val"):
            if key in state:
                return plain(state[key])
        return plain(state)
    if value.items:
        pairs = all(isinstance(item, tuple) and len(item) == 2 for item in value.items)
        return plain(dict(value.items) if pairs else value.items)
    if len(value.arguments) == 1:  # an enum is made from its value
        return plain(value.arguments[0])
    return [plain(each) for each in value.arguments] or value.name
