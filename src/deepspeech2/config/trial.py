"""Build every part of a config, and collect what fails instead of ending there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from deepspeech2.config.command_line import explain
from deepspeech2.config.components import (
    check_keys,
    create,
    group,
    plain,
    settings_of,
    takes,
    unused,
)
from deepspeech2.config.metrics import own_metrics
from deepspeech2.config.optimization import loss_from
from deepspeech2.config.writers import writer_nodes
from deepspeech2.errors import ConfigError, SpeechError
from deepspeech2.files import plain_name
from deepspeech2.pipeline import Pipeline
from deepspeech2.settings import DataloaderSettings, InferencerSettings, TrainerSettings
from deepspeech2.text import Tokenizer

_STEPS = 1000  # of a schedule that is only built to see whether it can be


def attempt(make: Callable[[], Any], name: str) -> tuple[Any, str | None]:
    """Return what ``make`` returns and None, or None and a sentence about what it raises.

    Args:
        name: in the sentence for an error of the system that names no file.
    """
    try:
        return make(), None
    except (SpeechError, OmegaConfBaseException) as error:
        return None, explain(error)
    except OSError as error:
        return None, f"{error.filename or name}: {error.strerror or error}"


@dataclass
class Trial:
    """What could be built of a config, and what could not.

    Attributes:
        problems: group and sentence of each part that fails.
        unused: keys beside the groups that nothing refers to.
        settings, dataloader, text_encoder, pipeline: None where they fail or are not named.
    """

    config: DictConfig
    problems: list[tuple[str, str]] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    settings: TrainerSettings | InferencerSettings | None = None
    dataloader: DataloaderSettings | None = None
    text_encoder: Tokenizer | None = None
    pipeline: Pipeline | None = None

    def __post_init__(self) -> None:
        config, training = self.config, "trainer" in self.config
        kind: type[Any] = TrainerSettings if training else InferencerSettings
        self.settings = self._attempt(kind.group, lambda: settings_of(config, kind))
        self.dataloader = self._attempt(
            "dataloader", lambda: settings_of(config, DataloaderSettings)
        )
        self._attempt("metrics", lambda: own_metrics(config))
        if training:
            self._build_training()
            # a writer would start when it is built
            self._attempt("writer", lambda: _check_writer(config))
        self.unused = unused(config)

    def _attempt(self, key: str, make: Callable[[], Any]) -> Any:
        """What ``make`` returns; None where it fails, which becomes a problem."""
        made, problem = attempt(make, f"config: {key}")
        if problem is not None:
            self.problems.append((key, problem))
        return made

    def _build(self, key: str, *arguments: Any, **derived: Any) -> Any:
        """The object that the group ``key`` describes, or None."""
        return self._attempt(
            key, lambda: create(group(self.config, key), key, *arguments, **derived)
        )

    def _build_training(self) -> None:
        """Build what a training run has; what depends on a part that fails is left out."""
        encoder = self.text_encoder = self._build("text_encoder")
        front_end = self._build("transforms")
        loss = self._attempt("loss_function", lambda: loss_from(self.config))
        if encoder is None or front_end is None:
            self._attempt("model", lambda: check_keys(plain(self.config.model), "model"))
        else:
            derived = {"n_features": front_end.n_features, "n_tokens": encoder.n_tokens}
            network = self._build("model", **derived)
            if network is not None:
                self.pipeline = Pipeline(front_end, network, loss)
        if encoder is not None:
            self._build("decoder", encoder)
        if self.pipeline is not None:
            optimizer = self._build("optimizer", list(self.pipeline.network.parameters()))
            if optimizer is not None:
                self._attempt("lr_scheduler", lambda: self._build_schedule(optimizer))

    def _build_schedule(self, optimizer: Any) -> None:
        node, key = plain(self.config.get("lr_scheduler")), "lr_scheduler"
        if node:
            derived = {"total_steps": _STEPS} if takes(node, key, "total_steps") else {}
            create(group(self.config, key), key, optimizer, **derived)


def _check_writer(config: DictConfig) -> None:
    writer_nodes(config)
    node = group(config, "writer")
    if node.get("run_name") in (None, "???"):
        raise ConfigError("writer.run_name has no value: give one as writer.run_name=NAME")
    plain_name(str(node["run_name"]), "writer.run_name")
