"""Values of a config against the types that are asked for, and the sentence for each mistake.

Pydantic compares strictly: no text is a number, no number is true or false. A class or a
constructor says with its annotations what is allowed, and the same annotations become words.
"""

from __future__ import annotations

import operator
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import cache, reduce, wraps
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints
from typing import dataclass_transform as transform

from annotated_types import Interval, Len
from pydantic import BeforeValidator, ConfigDict, StringConstraints, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from deepspeech2.errors import ConfigError
from deepspeech2.settings.template import advice

_RULES = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True)
_WORDS = {
    bool: "true or false",
    float: "a number",
    int: "a whole number",
    str: "a text",
    Path: "a path",
    type(None): "null",
}


T = TypeVar("T")


def is_number(value: object) -> bool:
    """Whether what a config contains is a number, and neither true nor false."""
    return isinstance(value, int | float) and not isinstance(value, bool)


Text = Annotated[str, BeforeValidator(lambda v: str(v) if is_number(v) else v), Len(1)]
"""YAML reads some texts as numbers, as 16 of the precisions."""

Device = Annotated[
    str,
    StringConstraints(pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$"),
    "auto, cpu, cuda, cuda:N or mps",
]
Count = Annotated[int, Interval(ge=1)]
Positive = Annotated[float, Interval(gt=0)]
Share = Annotated[float, Interval(ge=0, le=1)]


@transform(frozen_default=True, kw_only_default=False)
def settings(key: str) -> Callable[[type[T]], type[T]]:
    """Make a frozen dataclass of the config group ``key`` that checks its values.

    Its constructor raises ConfigError: a key that does not exist, one that has no value, or a
    value that is not of the kind of its annotation. One sentence reports all faults.
    """

    def decorate(cls: type[T]) -> type[T]:
        made: Any = dataclass(frozen=True, slots=True, config=_RULES)(cls)
        checked = made.__init__

        @wraps(checked)
        def init(self: Any, *arguments: Any, **options: Any) -> None:
            try:
                checked(self, *arguments, **options)
            except ValidationError as error:
                raise ConfigError(_sentence(made, error, options)) from None

        made.__init__ = init
        made.group = key
        checking: type[T] = made
        return checking

    return decorate


def _sentence(cls: Any, error: ValidationError, options: Mapping[str, Any]) -> str:
    hints = get_type_hints(cls, include_extras=True)
    known = [each.name for each in fields(cls)]
    prefix = f"{cls.group}." if cls.group else ""
    faults: dict[str, str] = {}
    for each in error.errors(include_url=False):
        name = str(each["loc"][0])
        key, value = f"{prefix}{name}", options.get(name, each["input"])
        if name not in known:
            remedy = advice(key) or f": {cls.group} takes {', '.join(known)}"
            faults[name] = f"{key}={value!r} does not exist{remedy}"
        elif each["type"] == "missing":
            faults[name] = f"{key} has no value: give one as {key}=VALUE"
        else:
            faults[name] = f"{key} must be {described(hints[name])}, but is {value!r}"
    return "; ".join(faults.values())


def check_value(key: str, value: Any, hint: Any) -> None:
    """Raise ConfigError where a constructor's value is not of the kind that ``hint`` names.

    Lists pass for tuples, and numbers for texts. Mappings, which may become objects, and
    annotations of what no YAML file can contain pass unchecked.
    """
    allowed = _plain(hint)
    if allowed is None or isinstance(value, Mapping):
        return
    for each in (_tuples(value), _texts(value)):
        try:
            _adapter(allowed).validate_python(each)
            return
        except ValidationError:
            continue
    raise ConfigError(f"{key} must be {described(allowed)}, but is {value!r}")


def described(hint: Any) -> str:
    """What an annotation allows, in words: ``a whole number of at least 1, or null``."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        kind, *rules = arguments
        for rule in rules:
            if isinstance(rule, str):
                return rule
        return described(kind) + "".join(map(_bounds, rules))
    if origin in (Union, types.UnionType):
        words = [described(each) for each in arguments if each is not type(None)]
        return " or ".join([*words, "null"] if type(None) in arguments else words)
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin is tuple and ... not in arguments:
        return f"a list of {len(arguments)} values"
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return f"a list, each value {described(arguments[0])}"
    return _WORDS.get(hint, getattr(hint, "__name__", str(hint)))


def _bounds(rule: Any) -> str:
    if not isinstance(rule, Interval):
        return ""
    low = rule.ge if rule.ge is not None else rule.gt
    high = rule.le if rule.le is not None else rule.lt
    if high is None:
        return f" of at least {low:g}" if rule.ge is not None else f" above {low:g}"
    if rule.ge is not None and rule.le is not None:
        return f" from {low:g} to {high:g}"
    if rule.ge is not None:
        return f" of at least {low:g} and below {high:g}"
    return f" between {low:g} and {high:g}"


def _plain(hint: Any) -> Any:
    """``hint`` without the alternatives that YAML cannot contain; None where there is no other."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return hint if _plain(arguments[0]) is arguments[0] else None
    if origin in (Union, types.UnionType):
        kept = tuple(found for each in arguments if (found := _plain(each)) is not None)
        return reduce(operator.or_, kept) if kept else None
    if origin in (tuple, list, Sequence):
        inner = tuple(each if each is ... else _plain(each) for each in arguments)
        return None if None in inner else origin[inner]
    return hint if origin is Literal or hint in _WORDS else None


@cache
def _adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint, config=_RULES)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _texts(value: Any) -> Any:
    """YAML reads some texts as numbers, as 2024 for a name."""
    if isinstance(value, list):
        return tuple(map(_texts, value))
    return str(value) if is_number(value) else value
