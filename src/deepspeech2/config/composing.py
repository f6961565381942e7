"""A config by its name, for commands that take options and no config of their own."""

from __future__ import annotations

from collections.abc import Sequence

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from deepspeech2.config.command_line import VERSION, explain
from deepspeech2.config.quoting import quoted
from deepspeech2.errors import ConfigError
from deepspeech2.paths import CONFIGS


def composed(name: str, changes: Sequence[str]) -> DictConfig:
    """Compose the config ``name`` with ``changes``, each as KEY=VALUE.

    Raises:
        ConfigError: there is no such config, or a key is unknown.
    """
    try:
        with initialize_config_dir(str(CONFIGS), **VERSION):
            return compose(name, overrides=[quoted(change) for change in changes])
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(explain(error)) from error
