"""Writing a run's checkpoints."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepspeech2 import checkpoint
from deepspeech2.datasets.loader import SpeechLoader
from deepspeech2.errors import CheckpointError
from deepspeech2.escaping import printable
from deepspeech2.optim.state import has_names
from deepspeech2.settings import TrainerSettings
from deepspeech2.trainer.learner import Learner
from deepspeech2.trainer.progress import Progress

_BEFORE = {"dataloader.sorted_epochs": 0}
"""What a checkpoint was trained with that is older than a key of the plan."""


def training_plan(loader: SpeechLoader, settings: TrainerSettings, n_ranks: int) -> dict[str, Any]:
    """What the order of batches and the course of training depend on, by the keys' names.

    The options of optimiser and schedule come to it: see :mod:`deepspeech2.config.optimization`.
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(loader.sampler.durations.astype(np.dtype("<f8")).tobytes())
    for utterance in loader.dataset.utterances:
        digest.update(utterance.id.encode() + b"\0")
    return {
        "datasets.train": f"{len(loader.dataset)} utterances {digest.hexdigest()}",
        "dataloader.max_batch_duration": float(loader.sampler.max_batch_duration),
        "dataloader.max_batch_size": loader.sampler.max_batch_size,
        "dataloader.sorted_epochs": loader.sampler.sorted_epochs,
        "trainer.epoch_len": settings.epoch_len,
        "trainer.accumulate": settings.accumulate,
        "trainer.seed": settings.seed,
        "trainer.ema": settings.ema,
        "trainer.monitor": settings.monitor,
        "trainer.freeze": settings.freeze,
        "number of ranks": n_ranks,
    }


@dataclass(frozen=True, slots=True)
class Keeper:
    """Knows what belongs into a checkpoint, and whether one belongs to this run.

    Attributes:
        recipe: see :mod:`deepspeech2.checkpoint`.
        config: the run's config, for people to read.
        plan: see :func:`training_plan`.
    """

    learner: Learner
    recipe: Mapping[str, Mapping[str, Any]]
    config: Mapping[str, Any]
    plan: Mapping[str, Any]

    def save(
        self,
        path: Path,
        progress: Progress,
        metrics: Mapping[str, float],
        *,
        whole: bool = True,
        kind: str = "plain",
    ) -> None:
        """Write a checkpoint; without ``whole`` only what recognition needs.

        Args:
            kind: what the network holds at the moment: plain weights or an average.

        Raises:
            CheckpointError: it could not be written; what was there before is whole.
        """
        if not self.learner.engine.is_main:
            return
        content: dict[str, Any] = {
            "arch": self.recipe["model"]["name"],
            "recipe": {part: dict(options) for part, options in self.recipe.items()},
            "state_dict": self.learner.pipeline.state_dict(),
            "weights": kind,
            "epoch": progress.epoch,
            "step": progress.step,
            "metrics": dict(metrics),
            "config": dict(self.config),
        }
        if whole:
            content["training"] = {
                **self.learner.state(),
                "progress": progress.state(),
                "plan": dict(self.plan),
            }
        checkpoint.save(content, path)

    def resume(
        self, content: Mapping[str, Any], path: Path, recorded: Mapping[str, Any] | None = None
    ) -> Progress:
        """Load weights and training state; returns how far they are.

        Args:
            recorded: what is known of keys that the checkpoint's plan lacks, being older. Of what
                stands in neither, this run's value counts as that of the checkpoint.

        Raises:
            CheckpointError: it belongs to another architecture, other data, or another plan.
        """
        if "training" not in content:
            raise CheckpointError(
                f"{path} holds weights alone: start from them with trainer.from_pretrained"
            )
        checkpoint.check_recipe(content, self.recipe, path)
        training = content["training"]
        saved = training.get("plan")
        for key in ("plan", "optimizer", "progress"):
            if not isinstance(training.get(key), dict):
                raise CheckpointError(
                    f"{path} lacks key {key!r}: start from its weights with trainer.from_pretrained"
                )
        before = {**_BEFORE, **(recorded or {}), **saved}
        if has_names(training["optimizer"]):
            before.pop("trainer.freeze", None)  # each parameter finds its own state again
        self._check_plan(before, path)
        self.learner.load(content["state_dict"], training, path)
        progress = Progress.from_state(training["progress"])
        scheduled = getattr(self.learner.schedule, "last_epoch", 0)
        if type(scheduled) is not int or not 0 <= scheduled <= progress.step:
            raise CheckpointError(
                f"{path} is damaged: its lr_scheduler has taken {scheduled} steps, but its"
                f" training {progress.step}"
            )
        return progress

    def _check_plan(self, before: Mapping[str, Any], path: Path) -> None:
        """Raise CheckpointError for the first key that was another one ``before``."""
        for key in dict.fromkeys((*self.plan, *before)):
            # an option that a group had and has no more, or the other way round, is a change
            group = key.partition(".")[0]
            known = (key in self.plan or group in self.plan) and (key in before or group in before)
            theirs, ours = before.get(key), self.plan.get(key)
            if known and theirs != ours:
                raise CheckpointError(
                    f"{path} was trained with {printable(str(key))}={printable(str(theirs))} where"
                    f" this run has {ours}: resume with the same, or start a new run with"
                    " trainer.from_pretrained"
                )
