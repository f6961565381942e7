"""Objects from config nodes, with errors that name the key."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any, TypeVar

import hydra.utils
from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf

from deepspeech2 import plugins
from deepspeech2.config.quoting import unreferenced
from deepspeech2.config.signatures import in_source, of_class
from deepspeech2.errors import ConfigError, SpeechError, sentence
from deepspeech2.escaping import without_secrets
from deepspeech2.settings import GROUPS as SETTINGS
from deepspeech2.settings import advice, check_value

T = TypeVar("T")
TARGET = "_target_"
COMPONENTS = (
    "datasets", "decoder", "text_encoder", "transforms", "model", "loss_function", "optimizer",
    "lr_scheduler", "writer", "metrics",
)  # fmt: skip
"""Config groups whose nodes name a ``_target_``; the others are settings."""
MAY_BE_NULL = ("lr_scheduler", "metrics")
HYDRA_1_3 = hydra.__version__.startswith("1.3")
# Hydra 1.4 asks which targets may run: those of a config are its user's own
_CHECKS = getattr(hydra.utils, "UNSAFE_DISABLE_EXECUTION_CHECKS", None)
_ANY: dict[str, Any] = {} if _CHECKS is None else {"_execution_whitelist_": _CHECKS}
# by the commands themselves
_READ = ("data_dir", "noise_dir", "checkpoints", "plugins", "budget", "budget_models")
GROUPS = (*COMPONENTS, *SETTINGS)


def plain(node: Any) -> Any:
    """Plain dicts, lists and scalars, interpolations resolved."""
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def recorded(value: Any) -> Any:
    """``value`` with its addresses as files may have them: without passwords and signatures."""
    if isinstance(value, Mapping):
        return {key: recorded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [recorded(item) for item in value]
    return without_secrets(value) if isinstance(value, str) else value


def literal(value: Any) -> Any:
    """Plain values so that ``${`` in a text is still text after ``instantiate``.

    Hydra 1.3 resolves references twice: once in place, and once more when it reads what came of
    that. 1.4 does it once.
    """
    if isinstance(value, Mapping):
        return {key: literal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [literal(item) for item in value]
    if not isinstance(value, str):
        return value
    return unreferenced(unreferenced(value) if HYDRA_1_3 else value)


def group(config: DictConfig, key: str) -> dict[str, Any]:
    """The config group ``key`` as a plain dict.

    Raises:
        ConfigError: it is absent, or not a mapping.
    """
    node = plain(config.get(key))
    if not isinstance(node, dict):
        raise ConfigError(
            f"{key} must be a group of keys, but is {node!r}: choose one of configs/{key}, as"
            f" {key}=NAME"
        )
    return node


def settings_of(config: DictConfig, cls: type[T]) -> T:
    """The settings that the group of ``cls`` contains.

    Raises:
        ConfigError: it is absent, or a key or value is wrong.
    """
    key: str = cls.group  # type: ignore[attr-defined]
    return cls(**{str(name): value for name, value in group(config, key).items()})


def unused(config: DictConfig) -> list[str]:
    """Keys beside the groups that nothing refers to; recognition may do without data_dir."""
    text = OmegaConf.to_yaml(config)
    return [
        name
        for name in map(str, config)
        if name not in (*GROUPS, *_READ)
        and f"${{{name}" not in text
        and f"${{oc.select:{name}" not in text
    ]


def create(node: Mapping[str, Any], key: str, *arguments: Any, **derived: Any) -> Any:
    """Instantiate ``node``'s ``_target_`` with its keys, ``arguments`` and ``derived`` values.

    Args:
        node: plain values; nested mappings with a ``_target_`` are instantiated first.
        key: where the node is in the config, for messages.

    Raises:
        ConfigError: a key is unknown to the constructor or one is missing.
        SpeechError: whatever the constructor itself raises of ours.
    """
    check_keys(node, key)
    try:
        make = instantiate(literal(dict(node)), _partial_=True, _convert_="all", **_ANY)
        return make(*arguments, **derived)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, SpeechError):
            raise cause from None
        raise ConfigError(f"{key} cannot be built: {_first_line(cause or error)}") from error
    except (TypeError, ValueError, RuntimeError, ArithmeticError, OSError) as error:
        raise ConfigError(f"{key} cannot be built: {_first_line(error)}") from error


def create_function(node: Mapping[str, Any], key: str) -> Any:
    """As :func:`create`; a function is not called yet, but gets the node's keys at each call."""
    if inspect.isclass(target(node, key)):
        return create(node, key)
    options = {name: value for name, value in node.items() if not name.startswith("_")}
    check_keys(node, key)
    return partial(target(node, key), **options)


def _first_line(error: BaseException) -> str:
    if isinstance(error, OSError):
        return sentence(error)
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def check_keys(node: Any, key: str, *, imported: bool = True) -> None:
    """Raise ConfigError for a key that no constructor in ``node`` takes, or a value of no use.

    Args:
        node: plain values.
        key: where the node is in the config.
        imported: whether classes may be imported; else only those of this program are looked at.
    """
    if isinstance(node, list):
        for index, item in enumerate(node):
            check_keys(item, f"{key}[{index}]", imported=imported)
    if not isinstance(node, Mapping):
        return
    signature = None
    if TARGET in node:
        signature = of_class(target(node, key)) if imported else in_source(str(node[TARGET]))
    for name, value in node.items():
        if signature and not str(name).startswith("_"):
            if name not in signature.hints and not signature.takes_any:
                full = f"{key}.{name}"
                remedy = advice(full) or f": {node[TARGET]} takes {', '.join(signature.hints)}"
                raise ConfigError(f"{full}={value!r} does not exist{remedy}")
            check_value(f"{key}.{name}", value, signature.hints.get(name))
        check_keys(value, f"{key}.{name}", imported=imported)


def target(node: Mapping[str, Any], key: str) -> Any:
    """The class or function that ``node`` names; checkpoints may name parts of its module.

    Raises:
        ConfigError: it cannot be found, or cannot be called.
    """
    try:
        found = get_object(str(node[TARGET]))
    except Exception as error:  # hydra wraps whatever importing the module raised
        name = str(node[TARGET])
        reason = str(error)
        if name.startswith("src."):  # configs that are older than the package's name
            reason = f"this package is called deepspeech2, as in deepspeech2.{name[4:]} ({error})"
        raise ConfigError(f"{key}._target_={name!r} cannot be imported: {reason}") from error
    if not callable(found):
        raise ConfigError(f"{key}._target_={node[TARGET]!r} is neither a class nor a function")
    plugins.allow(str(found.__module__))
    return found


def takes(node: Mapping[str, Any], key: str, name: str) -> bool:
    """Whether the constructor that ``node`` names has an argument ``name``."""
    return name in inspect.signature(target(node, key)).parameters


def options(node: Mapping[str, Any] | None, key: str) -> dict[str, Any]:
    """What ``node`` builds and every option of it, defaults included, by the keys' full names.

    Raises:
        ConfigError: its class cannot be found.
    """
    if not node:
        return {key: None}
    made = target(node, key)
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(made).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }
    given = {name: value for name, value in node.items() if name != TARGET}
    # tuples are lists in a config
    named = {f"{key}.{name}": _listed(value) for name, value in {**defaults, **given}.items()}
    return {key: made.__name__, **named}


def _listed(value: Any) -> Any:
    return [_listed(item) for item in value] if isinstance(value, list | tuple) else value
