"""Parts of one's own in checkpoints: which modules the user lets a file name.

A checkpoint stores the dotted path of a part that is not of this program. Its module is imported
only if the user named it: as ``plugins=[my_parts]``, ``--plugin my_parts``, as a ``_target_`` of
the config, or by installing a package with an entry point in the group ``deepspeech2.plugins``.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from collections.abc import Iterable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from deepspeech2.errors import ConfigError
from deepspeech2.escaping import first_line
from deepspeech2.paths import PACKAGE, ROOT

GROUP = "deepspeech2.plugins"
_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
_allowed: set[str] = set()


def find_own_modules() -> None:
    """Let modules of the current folder and of the repository's root be imported, last of all."""
    for place in (str(Path.cwd()), str(ROOT)):
        if place not in sys.path:
            sys.path.append(place)


def allow(module: str) -> None:
    """Let checkpoints name parts of ``module`` and of what is in it, if it is a package."""
    _allowed.add(module)


def load(modules: Iterable[str]) -> None:
    """Import ``modules`` and let checkpoints name their parts.

    Raises:
        ConfigError: one cannot be imported.
    """
    for name in modules:
        find_own_modules()
        try:
            importlib.import_module(name)
        except Exception as error:  # whatever its code raises
            raise ConfigError(
                f"plugins={name!r} cannot be imported: {first_line(error)}; name a module of the"
                " current folder or of an installed package, without .py"
            ) from error
        allow(name)


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--plugin``."""
    parser.add_argument(
        "--plugin",
        action="append",
        default=[],
        metavar="MODULE",
        help="a module with parts of your own that the checkpoint may name; may be repeated",
    )


def dotted(part: Any) -> str:
    """The path by which a checkpoint names a class or function."""
    return f"{part.__module__}.{part.__qualname__}"


def is_own(name: Any) -> bool:
    """Whether a checkpoint's name of a part is one of a part that is not of this program."""
    return isinstance(name, str) and len(name) < 1000 and _DOTTED.fullmatch(name) is not None


def find(name: str, key: str) -> Any:
    """The class or function ``name``, which is the value of ``key``.

    Raises:
        ConfigError: the user has not named its module, or it is not defined there.
    """
    module, _, attribute = name.rpartition(".")
    allowed = {*_allowed, *(entry.module for entry in entry_points(group=GROUP))}
    inside = [each for each in allowed if _within(module, each)]
    if not inside or _within(module, PACKAGE.name):
        raise ConfigError(
            f"{key} is {name}, which is no part of this program: if you trust that code, allow it"
            f" with plugins=[{module}] or --plugin {module}"
        )
    find_own_modules()
    try:
        part = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # whatever its code raises
        raise ConfigError(
            f"{key} is {name}, which cannot be imported: {first_line(error)}"
        ) from error
    # what a module has only imported is nobody's part
    if not callable(part) or not any(_within(str(part.__module__), each) for each in inside):
        raise ConfigError(f"{key} is {name}, which is not defined there")
    return part


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")
