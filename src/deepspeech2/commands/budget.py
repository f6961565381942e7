"""A training that ends in time: passes, network and batches that fit in ``budget``."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from deepspeech2.config.components import group, plain
from deepspeech2.errors import ConfigError
from deepspeech2.paths import CONFIGS
from deepspeech2.trainer import Pace

log = logging.getLogger(__name__)

_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*(h|min)")
_PASSES = 20  # that a network must be able to make, unless it is the smallest
_STEPS = 5000  # below which batches are made smaller
_HALVINGS = 2
_USED = 0.95  # of the budget: steps may be slower than those that were measured
_BATCH = "dataloader.max_batch_duration"
_PASSES_KEY = "trainer.n_epochs"


@dataclass(frozen=True, slots=True)
class Measured:
    """What a few steps with a config have shown, the same on all ranks.

    Attributes:
        pace: seconds of steps and scores.
        steps: of an epoch.
        spent: seconds since the command began.
    """

    pace: Pace
    steps: int
    spent: float

    def epochs(self, budget: float) -> int:
        """How many fit in what is left of ``budget`` seconds."""
        return self.pace.epochs(_USED * budget - self.spent, self.steps)


def within_budget(
    config: DictConfig, measure: Callable[[DictConfig], Measured], before: Mapping[str, Any]
) -> DictConfig:
    """Return ``config`` with the passes, network and batches that fit in ``config.budget``.

    The network is the last of ``budget_models`` that makes at least 20 passes in that time, or
    else the first; one that the command line names, or that is none of them, stays. While there
    are fewer than 5,000 steps, batches are halved, at most twice.

    Args:
        measure: takes a few steps with a config.
        before: the config of the checkpoint that is resumed, whose plan stays; empty for none.

    Raises:
        ConfigError: the budget is no time, or too short for one pass.
    """
    budget = _seconds(config.budget)
    if before:
        saved = OmegaConf.create(dict(before))
        plan = {key: OmegaConf.select(saved, key) for key in (_PASSES_KEY, _BATCH, "model")}
        log.info("The plan of the run stays, whatever its budget: %s passes", plan[_PASSES_KEY])
        return _changed(config, plan)

    chosen, found = config, None
    for name, candidate in _candidates(config):
        tried = measure(candidate)
        passes = tried.epochs(budget)
        log.info(
            "%s: %.2g s a step, %.0f s of scores after each of %d steps; %d passes fit in %s",
            *(name, tried.pace.step, tried.pace.epoch_end, tried.steps, passes, config.budget),
        )
        if found is None or passes >= _PASSES:
            chosen, found = candidate, tried
        if passes < _PASSES:
            break  # those that follow are slower
    assert found is not None
    for _ in range(_HALVINGS):
        if found.epochs(budget) * found.steps >= _STEPS:
            break
        smaller = _changed(chosen, {_BATCH: OmegaConf.select(chosen, _BATCH) / 2})
        tried = measure(smaller)
        if not tried.epochs(budget):
            break
        chosen, found = smaller, tried

    passes = found.epochs(budget)
    if not passes:
        needed = (found.steps * found.pace.step + found.pace.epoch_end) / 60
        raise ConfigError(
            f"budget={config.budget} is too short for one pass, which takes {needed:.0f} min: give"
            " it more time, or a part of the speech (datasets.train.hours=1)"
        )
    log.info(
        "budget=%s: trainer.n_epochs=%d %s=%g, %d steps",
        *(config.budget, passes, _BATCH, OmegaConf.select(chosen, _BATCH), passes * found.steps),
    )
    return _changed(chosen, {_PASSES_KEY: passes})


def _candidates(config: DictConfig) -> Iterator[tuple[str, DictConfig]]:
    """Configs with each network that may be chosen, by its name."""
    own = group(config, "model")
    models: dict[str, Any] = {}
    for name in plain(config.get("budget_models")) or []:
        path = CONFIGS / "model" / f"{name}.yaml"
        if not path.is_file():
            raise ConfigError(f"budget_models must name files of configs/model, but has {name!r}")
        models[name] = plain(OmegaConf.load(path))
    known = next((name for name, model in models.items() if model == own), None)
    if known is None or _named("model"):
        yield known or "the model", config
        return
    for name, model in models.items():
        yield name, _changed(config, {"model": model})


def _named(key: str) -> bool:
    """Whether the command line has changed ``key``."""
    if not HydraConfig.initialized():
        return False
    return any(re.match(rf"[+~]*{key}[.=@]", each) for each in HydraConfig.get().overrides.task)


def _changed(config: DictConfig, values: Mapping[str, Any]) -> DictConfig:
    copy: DictConfig = config.copy()
    for key, value in values.items():
        OmegaConf.update(copy, key, value, merge=False, force_add=True)
    return copy


def _seconds(value: Any) -> float:
    found = _TIME.fullmatch(str(value).strip())
    if not found or not float(found[1]):
        raise ConfigError(f"budget must be a time, as '2h' or '30 min', but is {value!r}")
    return float(found[1]) * (3600 if found[2] == "h" else 60)
