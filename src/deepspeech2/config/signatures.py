"""What constructors take: asked of the class, or read from its source without importing it."""

from __future__ import annotations

import ast
import inspect
import typing
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from deepspeech2.paths import PACKAGE
from deepspeech2.settings import values


class Signature(NamedTuple):
    """The arguments of a constructor by name, with their annotations, None where unknown."""

    hints: Mapping[str, Any]
    takes_any: bool
    """Whether there is a ``**options``, so that no name is wrong."""


def of_class(made: Any) -> Signature:
    """What a class or function takes."""
    parameters = inspect.signature(made).parameters
    try:
        hints = typing.get_type_hints(
            made.__init__ if inspect.isclass(made) else made, include_extras=True
        )
    except (NameError, TypeError):  # of another library, imported for its checker alone
        hints = {}
    named = {name: hints.get(name) for name in parameters if name != "self"}
    if not (rest := [p.name for p in parameters.values() if p.kind is p.VAR_KEYWORD]):
        return Signature(named, False)
    options = named.pop(rest[0])
    if typing.get_origin(options) is not typing.Unpack:
        return Signature(named, True)
    (shared,) = typing.get_args(options)
    return Signature({**named, **typing.get_type_hints(shared, include_extras=True)}, False)


@cache
def in_source(target: str) -> Signature | None:
    """What the class ``target`` of this program takes; None for others.

    Most components import torch, which takes seconds; a typo should be reported at once.
    """
    module, _, name = target.rpartition(".")
    if not module.startswith(f"{PACKAGE.name}."):
        return None
    body = _parsed(module)
    for node in body:
        if isinstance(node, ast.ImportFrom) and name in {each.name for each in node.names}:
            return in_source(f"{node.module}.{name}")
        if isinstance(node, ast.ClassDef) and node.name == name:
            made = [each for each in node.body if getattr(each, "name", "") == "__init__"]
            if _is_function(made):
                return _read(made[0].args, body)
            bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
            return in_source(f"{module}.{bases[0]}") if bases else None
    return None


def _is_function(found: Sequence[ast.stmt]) -> typing.TypeGuard[Sequence[ast.FunctionDef]]:
    return len(found) == 1 and isinstance(found[0], ast.FunctionDef)


def _parsed(module: str) -> list[ast.stmt]:
    place = PACKAGE.joinpath(*module.split(".")[1:])
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if path.is_file():
            return ast.parse(path.read_text("utf-8")).body
    return []


def _read(arguments: ast.arguments, body: Sequence[ast.stmt]) -> Signature:
    names = _names(body)
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)[1:]
    hints = {each.arg: _evaluated(each.annotation, names) for each in every}
    if arguments.kwarg is None:
        return Signature(hints, False)
    match arguments.kwarg.annotation:
        case ast.Subscript(value=ast.Name(id="Unpack"), slice=ast.Name(id=shared)):
            return Signature({**hints, **_shared(shared, body)}, False)
    return Signature(hints, True)


def _names(body: Sequence[ast.stmt]) -> dict[str, Any]:
    """What annotations of a module may be made of, its own names of kinds included."""
    names = {**vars(typing), **vars(values), "Sequence": Sequence, "Path": Path}
    for node in body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            names[node.targets[0].id] = _evaluated(node.value, names)
    return names


def _shared(name: str, body: Sequence[ast.stmt]) -> dict[str, Any]:
    """The annotations of a TypedDict, which ``body`` defines or imports."""
    for node in body:
        if isinstance(node, ast.ImportFrom) and name in {each.name for each in node.names}:
            return _shared(name, _parsed(str(node.module)))
        if isinstance(node, ast.ClassDef) and node.name == name:
            kinds = [each for each in node.body if isinstance(each, ast.AnnAssign)]
            names = _names(body)
            return {ast.unparse(each.target): _evaluated(each.annotation, names) for each in kinds}
    return {}


def _evaluated(expression: ast.expr | None, names: Mapping[str, Any]) -> Any:
    """The kind that our own source names; None for what only an import could tell."""
    if expression is None:
        return None
    try:
        return eval(ast.unparse(expression), dict(names))
    except Exception:  # names of the modules that are not imported, and what is no kind
        return None
