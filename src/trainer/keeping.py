"""Writing a run's checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src import checkpoint
from src.errors import CheckpointError
from src.trainer.learner import Learner
from src.trainer.progress import Progress


@dataclass(frozen=True, slots=True)
class Keeper:
    """Knows what belongs into a checkpoint, and whether one belongs to this run.

    Attributes:
        recipe: see :mod:`src.checkpoint`.
        config: the run's config, for people to read.
        data: fingerprint of the training data and its batches.
    """

    learner: Learner
    recipe: Mapping[str, Mapping[str, Any]]
    config: Mapping[str, Any]
    data: str

    def save(
        self, path: Path, progress: Progress, metrics: Mapping[str, float], *, whole: bool = True
    ) -> None:
        """Write a checkpoint; without ``whole`` only what recognition needs."""
        if not self.learner.engine.is_main:
            return
        content: dict[str, Any] = {
            "arch": self.recipe["model"]["name"],
            "recipe": {part: dict(options) for part, options in self.recipe.items()},
            "state_dict": self.learner.pipeline.state_dict(),
            "epoch": progress.epoch,
            "step": progress.step,
            "metrics": dict(metrics),
            "config": dict(self.config),
        }
        if whole:
            content["training"] = {
                **self.learner.state(),
                "progress": progress.state(),
                "data": self.data,
            }
        checkpoint.save(content, path)

    def resume(self, content: Mapping[str, Any], path: Path) -> Progress:
        """Load weights and training state; returns how far they are.

        Raises:
            CheckpointError: it belongs to another architecture, other data, or another plan.
        """
        if "training" not in content:
            raise CheckpointError(
                f"{path} holds weights alone: start from them with trainer.from_pretrained"
            )
        checkpoint.check_recipe(content, self.recipe, path)
        training = content["training"]
        if training["data"] != self.data:
            raise CheckpointError(
                f"{path} was trained on other data or with other batches: resume with the same,"
                " or start a new run with trainer.from_pretrained"
            )
        self.learner.load(content["state_dict"], training, path)
        return Progress.from_state(training["progress"])
