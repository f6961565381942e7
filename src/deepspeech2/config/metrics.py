"""The user's own metrics from the group ``metrics``."""

from __future__ import annotations

import re
from collections.abc import Mapping

from omegaconf import DictConfig

from deepspeech2.config.components import TARGET, create_function, group
from deepspeech2.errors import ConfigError
from deepspeech2.metrics import Metric

_NAME = re.compile(r"[^\W\d][\w.-]*")
_TAKEN = ("WER", "CER", "loss")


def own_metrics(config: DictConfig) -> dict[str, Metric]:
    """The metrics of the group ``metrics`` by their names; none if the config lacks the group.

    Raises:
        ConfigError: a name is taken or no word, or an entry cannot be built or called.
    """
    found: dict[str, Metric] = {}
    for name, node in (group(config, "metrics") if config.get("metrics") else {}).items():
        key = f"metrics.{name}"
        if node is None:
            continue
        if not isinstance(node, Mapping) or TARGET not in node:
            raise ConfigError(
                f"{key} must name a _target_, but is {node!r}: each metric has a name of its own,"
                " as in metrics.exact._target_=my_parts.exact"
            )
        if not _NAME.fullmatch(str(name)) or name in _TAKEN:
            raise ConfigError(
                f"{key} must have a name of letters, digits, '_', '.' and '-' other than"
                f" {', '.join(_TAKEN)}: it becomes part of val/{name}_(Argmax)"
            )
        metric = create_function(node, key)
        if not callable(metric):
            raise ConfigError(
                f"{key} must be called with references and hypotheses, but a"
                f" {type(metric).__name__} has no __call__"
            )
        found[str(name)] = metric
    return found
