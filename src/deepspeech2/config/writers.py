"""The writers of a run: one tracker, or several of ``writer=multiple``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig

from deepspeech2.config.components import check_keys, create, group, plain, takes, target
from deepspeech2.errors import ConfigError
from deepspeech2.writer import MultiWriter, Writer

_SHARED = ("run_name", "project_name", "mode")
_KEY = "writer"


def writer_nodes(config: DictConfig) -> dict[str, dict[str, Any]]:
    """Return the node of each tracker by its key; those of ``writer=multiple`` with its own values.

    Raises:
        ConfigError: a key is unknown, or ``writer.writers`` names none.
    """
    node = group(config, _KEY)
    check_keys(node, _KEY)
    if target(node, _KEY) is not MultiWriter:
        return {_KEY: node}
    inner = node.get("writers")
    if not isinstance(inner, Mapping) or not inner:
        raise ConfigError(
            f"writer.writers must be mappings by name, but is {inner!r}: choose several at once as"
            " writer=[csv,tensorboard]"
        )
    nodes = {}
    for name, options in inner.items():
        key = f"{_KEY}.writers.{name}"
        if not isinstance(options, Mapping) or "_target_" not in options:
            raise ConfigError(f"{key} must be a writer with its _target_, but is {options!r}")
        shared = {
            each: node[each]
            for each in _SHARED
            if node.get(each) is not None and takes(options, key, each)
        }
        nodes[key] = {**options, **shared}
    return nodes


def open_writers(config: DictConfig, derived: Mapping[str, Any]) -> Sequence[Writer]:
    """Build the run's writers; ``derived`` values are given to each.

    Raises:
        ConfigError: one cannot be built; those before it are closed.
    """
    made: list[Writer] = []
    try:
        for key, node in writer_nodes(config).items():
            given = dict(derived)
            if takes(node, key, "monitor") and "monitor" not in node:
                given = given | {"monitor": plain(config.trainer.monitor)}
            made.append(create(node, key, **given))
    except Exception:  # of a user's own, too
        for writer in made:
            writer.close()
        raise
    return made
