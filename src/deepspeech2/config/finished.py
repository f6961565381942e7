"""Whether the run of a config is finished, and how good it is, without importing torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from deepspeech2.config.components import plain, recorded
from deepspeech2.paths import resolve

SUMMARY, CONFIG = "run.json", "config.yaml"
_HARMLESS = {
    "trainer": {
        "device", "log_step", "override", "resume_from", "save_dir", "save_every", "threads",
    },
    "dataloader": {"cache", "cache_dir", "num_workers", "pin_memory"},
    "writer": None,
}  # fmt: skip
"""Options by group that change nothing of what is learnt; None: all of the group."""


def objective(config: DictConfig) -> float | None:
    """Return the best value of ``trainer.monitor`` in the run of ``config``.

    Returns:
        NaN if the run has none; None if it is not finished, or was another config's.
    """
    folder = resolve(str(config.trainer.save_dir)) / str(config.writer.run_name)
    try:
        summary = json.loads((folder / SUMMARY).read_text("utf-8"))
        before = plain(OmegaConf.load(folder / CONFIG))
    except (OSError, ValueError):
        return None
    if not isinstance(summary, dict) or summary.get("finished") is not True:
        return None
    if _lasting(before) != _lasting(recorded(plain(config))):
        return None
    best = summary.get("best")
    return float(best) if isinstance(best, int | float) else math.nan


def _lasting(config: Any) -> Any:
    """A config without what is harmless."""
    if not isinstance(config, Mapping):
        return config
    return {
        group: _without(options, _HARMLESS.get(group, set()))
        for group, options in config.items()
        if _HARMLESS.get(group, set()) is not None
    }


def _without(options: Any, names: set[str] | None) -> Any:
    if not isinstance(options, Mapping):
        return options
    return {name: value for name, value in options.items() if name not in (names or ())}
