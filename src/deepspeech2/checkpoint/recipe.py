"""Make the parts that a checkpoint's recipe names, of arguments of the right kind."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from deepspeech2 import decoding, plugins
from deepspeech2.errors import CheckpointError, ConfigError, SpeechError
from deepspeech2.escaping import first_line
from deepspeech2.model import DeepSpeech2
from deepspeech2.text import SubwordEncoder, TextEncoder
from deepspeech2.transforms import (
    GlobalNormalization,
    LogMagnitudeSpectrogram,
    LogMelSpectrogram,
    LogSpectrogram,
    NoNormalization,
    UtteranceNormalization,
)

# A recipe names its parts; only these are ever constructed, and those of modules that the user
# allows, so that a file cannot choose what code runs.
_PARTS: dict[str, tuple[type, ...]] = {
    "model": (DeepSpeech2,),
    "features": (LogMagnitudeSpectrogram, LogMelSpectrogram, LogSpectrogram),
    "normalization": (NoNormalization, UtteranceNormalization, GlobalNormalization),
    "text_encoder": (TextEncoder, SubwordEncoder),
    "decoder": (
        decoding.GreedyDecoder,
        decoding.BeamSearchDecoder,
        decoding.LanguageModelDecoder,
    ),
}
COMPONENTS: dict[str, type] = {part.__name__: part for parts in _PARTS.values() for part in parts}

_LARGEST = {"rnn_layers": 1000, "beam_size": 100_000, "lookahead": 10_000}
_LARGEST_NUMBER = 2**31 - 1
_LONGEST = 100_000  # characters of a text, items of a list


def create(recipe: Mapping[str, Any], key: str, path: Path, *arguments: Any, **changes: Any) -> Any:
    """Make the part of a recipe under ``key``.

    Args:
        path: of the checkpoint, for messages.
        arguments: before those of the recipe.
        changes: arguments of a user, in the place of those of the recipe.

    Raises:
        CheckpointError: the part is absent or unknown, or an argument is unknown, missing, of
            another kind or absurdly large; names it.
        SpeechError: as the part's constructor raises it.
    """
    node = recipe.get(key)
    if not isinstance(node, Mapping) or "name" not in node:
        raise CheckpointError(f"{path} lacks recipe key {key!r}")
    name, options = node["name"], {each: node[each] for each in node if each != "name"}
    options |= changes
    part = _own(name, key, path) if plugins.is_own(name) else _built_in(name, key, path)
    if part in _PARTS[key]:
        kinds = _kinds(part)
        for option, value in options.items():
            if option not in kinds or (
                option not in changes and not _is_a(value, kinds[option], option)
            ):
                raise CheckpointError(
                    f"{path} does not describe a model: {key}.{first_line(ValueError(option))}"
                    f" cannot be {reprlib.repr(value)}"
                )
    try:
        return part(*arguments, **options)
    except SpeechError:
        raise
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:  # sizes beyond torch's
        raise CheckpointError(
            f"{path} does not describe a model: its {key} cannot be made ({first_line(error)})"
        ) from error


def entry(part: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's entry of a class or function that is made with ``options``."""
    built_in = COMPONENTS.get(part.__name__) is part
    return {"name": part.__name__ if built_in else plugins.dotted(part), **options}


def _own(name: str, key: str, path: Path) -> Any:
    try:
        return plugins.find(name, f"the {key} of {path}")
    except ConfigError as error:
        raise CheckpointError(str(error)) from error


def _built_in(name: Any, key: str, path: Path) -> type:
    known = {made.__name__: made for made in _PARTS[key]}
    if not isinstance(name, str) or name not in known:
        raise CheckpointError(
            f"{path} wants a {key} named {reprlib.repr(name)}, which is not one of"
            f" {', '.join(known)}{': choose one, as decoder=beam' if key == 'decoder' else ''}"
        )
    return known[name]


@cache
def _kinds(part: type) -> dict[str, Any]:
    """Return the types of a part's arguments."""
    return get_type_hints(part.__init__)  # type: ignore[misc]


def _is_a(value: Any, kind: Any, name: str) -> bool:
    """Whether ``value`` fits an annotation and is not absurdly large."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return any(_is_a(value, each, name) for each in inner)
    if kind is NoneType:
        return value is None
    if kind is bool:
        return isinstance(value, int) and value in (0, 1)
    if kind in (int, float):
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            return False
        real = kind is float and isinstance(value, float)
        largest = math.inf if real else _LARGEST.get(name, _LARGEST_NUMBER)
        return abs(value) <= largest and (kind is float or int(value) == value)
    if kind is str:
        return isinstance(value, str) and len(value) <= _LONGEST
    if origin is Sequence:
        return (
            isinstance(value, list | tuple)
            and len(value) <= _LONGEST
            and all(_is_a(each, inner[0], name) for each in value)
        )
    if origin is Mapping:
        return isinstance(value, Mapping) and all(
            _is_a(pair[0], inner[0], name) and _is_a(pair[1], inner[1], name)
            for pair in value.items()
        )
    return False
