"""The checkpoints of a run: what they contain, where they are, and which one to resume from."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepspeech2 import checkpoint
from deepspeech2.datasets.loader import SpeechLoader
from deepspeech2.errors import CheckpointError
from deepspeech2.escaping import printable
from deepspeech2.optim.state import has_names
from deepspeech2.paths import resolve
from deepspeech2.settings import TrainerSettings
from deepspeech2.trainer.learner import Learner
from deepspeech2.trainer.monitor import KINDS, Monitor, Progress

log = logging.getLogger(__name__)

_BEFORE: dict[str, Any] = {"dataloader.sorted_epochs": 0, "datasets.train.shares": None}
"""What a checkpoint was trained with that is older than a key of the plan."""


def training_plan(loader: SpeechLoader, settings: TrainerSettings, n_ranks: int) -> dict[str, Any]:
    """Return what the order of batches and the course of training depend on, by config key.

    The options of optimiser and schedule are added in :mod:`deepspeech2.config.optimization`.
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(loader.sampler.durations.astype(np.dtype("<f8")).tobytes())
    for utterance in loader.dataset.utterances:
        digest.update(utterance.id.encode() + b"\0")
    shares = None if loader.draw is None else ", ".join(map(str, loader.draw.shares))
    return {
        "datasets.train": f"{len(loader.dataset)} utterances {digest.hexdigest()}",
        "datasets.train.shares": shares,
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
class Checkpoints:
    """Writes and reads the checkpoints of a run; the first rank alone writes.

    Attributes:
        folder: of the run.
        recipe: see :mod:`deepspeech2.checkpoint`.
        config: the run's config, for people to read.
        plan: see :func:`training_plan`.
    """

    folder: Path
    learner: Learner
    recipe: Mapping[str, Mapping[str, Any]]
    config: Mapping[str, Any]
    plan: Mapping[str, Any]
    _unsaved: dict[Path, CheckpointError] = field(default_factory=dict)

    @property
    def best(self) -> Path:
        return self.folder / "model_best.pth"

    @property
    def last(self) -> Path:
        return self.folder / "checkpoint-last.pth"

    def epoch(self, number: int) -> Path:
        return self.folder / f"checkpoint-epoch{number}.pth"

    def save(
        self,
        path: Path,
        progress: Progress,
        *,
        whole: bool = True,
        kind: str = "",
        required: bool = False,
    ) -> bool:
        """Write a checkpoint, return whether it was written; an earlier file is replaced whole.

        Args:
            whole: with the training state, to resume from; otherwise only for recognition.
            kind: of the weights that the network has at the moment, see :data:`KINDS`.
            required: raise the error of a full disk; otherwise it is reported, because training
                may continue, and raised by :meth:`check_saved` in the end.

        Raises:
            CheckpointError: it is ``required`` and could not be written.
        """
        if not self.learner.engine.is_main:
            return True
        content: dict[str, Any] = {
            "arch": self.recipe["model"]["name"],
            "recipe": {part: dict(options) for part, options in self.recipe.items()},
            "state_dict": self.learner.pipeline.state_dict(),
            "weights": KINDS[kind],
            "epoch": progress.epoch,
            "step": progress.step,
            "metrics": dict(progress.metrics),
            "config": dict(self.config),
        }
        if whole:
            content["training"] = {
                **self.learner.state(),
                "progress": progress.state(),
                "plan": dict(self.plan),
            }
        self._unsaved.pop(path, None)
        try:
            checkpoint.save(content, path)
        except CheckpointError as error:
            if required:
                raise
            log.error("%s; training goes on", error)
            self._unsaved[path] = error
        return path not in self._unsaved

    def check_saved(self) -> None:
        """Raise CheckpointError if the last or the best checkpoint could not be written."""
        for path in (self.last, self.best):
            if path in self._unsaved:
                raise self._unsaved[path]

    def load_best(self) -> None:
        """Load the best weights into the network."""
        content = checkpoint.load(self.best)
        checkpoint.load_weights(self.learner.pipeline, content["state_dict"], self.best)

    def load_mean(self, paths: Sequence[Path]) -> None:
        """Load the mean of the weights of ``paths``, computed in float64, into the network.

        Raises:
            CheckpointError: one cannot be read, or they do not fit together.
        """
        total: dict[str, Tensor] = {}
        kinds: dict[str, torch.dtype] = {}
        for path in paths:
            weights: dict[str, Tensor] = checkpoint.load(path)["state_dict"]
            if total and set(weights) != set(total):
                raise CheckpointError(
                    f"{path} contains other weights than {paths[0]}: no mean of them"
                )
            for name, value in weights.items():
                kinds[name] = value.dtype
                total[name] = total[name] + value.double() if name in total else value.double()
        mean = {name: (value / len(paths)).to(kinds[name]) for name, value in total.items()}
        checkpoint.load_weights(self.learner.pipeline, mean, paths[0])

    def candidates(self, which: str, number: int, monitor: Monitor) -> list[Path]:
        """Return at most ``number`` checkpoints of epochs, the "last" or the "best" first."""
        rated = []
        for path in self.folder.glob("checkpoint-epoch*.pth"):
            content = checkpoint.load(path)
            cost = monitor.cost(content.get("metrics", {})) if which == "best" else 0.0
            if math.isfinite(cost):  # an epoch without the metric is not among the best
                rated.append((cost, -content["epoch"], path))
        return [path for _, _, path in sorted(rated)[:number]]

    def resume(
        self, content: Mapping[str, Any], path: Path, recorded: Mapping[str, Any] | None = None
    ) -> Progress:
        """Load weights and training state, return how far the run was.

        Args:
            recorded: values of keys that the checkpoint's plan lacks, because it is older. Of a
                key in neither, this run's value counts as that of the checkpoint.

        Raises:
            CheckpointError: it belongs to another architecture, other data, or another plan.
        """
        if "training" not in content:
            raise CheckpointError(
                f"{path} contains weights alone: start from them with trainer.from_pretrained"
            )
        checkpoint.check_recipe(content, self.recipe, path)
        training = content["training"]
        for key in ("plan", "optimizer", "progress"):
            if not isinstance(training.get(key), dict):
                raise CheckpointError(
                    f"{path} lacks key {key!r}: start from its weights with trainer.from_pretrained"
                )
        before = {**_BEFORE, **(recorded or {}), **training["plan"]}
        if has_names(training["optimizer"]):
            before.pop("trainer.freeze", None)  # each parameter finds its own state again
        self._check_plan(before, path)
        self.learner.load(content["state_dict"], training, path)
        progress = Progress.from_state(training["progress"], content.get("metrics", {}))
        scheduled = getattr(self.learner.schedule, "last_epoch", 0)
        if type(scheduled) is not int or not 0 <= scheduled <= progress.step:
            raise CheckpointError(
                f"{path} is damaged: its lr_scheduler has taken {scheduled} steps, but its"
                f" training {progress.step}"
            )
        return progress

    def _check_plan(self, before: Mapping[str, Any], path: Path) -> None:
        """Raise CheckpointError for the first key that had another value ``before``."""
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


def find_checkpoint(folder: Path, resume: str) -> Path | None:
    """Return the checkpoint to resume the run in ``folder`` from; None if ``auto`` finds none.

    Raises:
        CheckpointError: a named one does not exist, belongs to another run than the one that is
            there or would undo what came after it, or ``auto`` can read none of those there.
    """
    if resume == "auto":
        newest = _newest(folder)
        if newest is None:
            log.info("No checkpoint in %s to resume from", folder)
        return newest
    chosen = next((file for file in (folder / resume, resolve(resume)) if file.is_file()), None)
    if chosen is None:
        raise CheckpointError(
            f"trainer.resume_from={resume} is neither in {folder} nor a path: use auto, or one"
            f" of {', '.join(sorted(file.name for file in folder.glob('*.pth'))) or 'none'}"
        )
    if chosen.resolve().parent != folder.resolve():
        # another run's checkpoint would make a third run of this one, and overwrite it
        if any(folder.glob("*.pth")):
            raise CheckpointError(
                f"{folder} contains another run than that of trainer.resume_from={chosen}: choose"
                " another writer.run_name to go on from there, or trainer.resume_from=auto to go on"
                " with the one that is here"
            )
        return chosen
    # a run that went on from before its own checkpoints would overwrite them one by one
    newest = _newest(folder)
    if newest is not None and newest != chosen:
        ours, theirs = (checkpoint.load(file) for file in (chosen, newest))
        if "training" in ours and ours["step"] < theirs["step"]:
            raise CheckpointError(
                f"{chosen.name} is at step {ours['step']}, but {newest.name} at step"
                f" {theirs['step']} would be overwritten: give another writer.run_name and this"
                " checkpoint's path, or resume with auto"
            )
    return chosen


def _newest(folder: Path) -> Path | None:
    """Return the readable checkpoint with the most steps; broken ones are named and skipped."""
    newest, most = None, -1
    files = sorted(folder.glob("checkpoint-*.pth"))
    for file in files:
        try:
            content = checkpoint.load(file)
        except CheckpointError as error:
            log.warning("Passed over: %s", error)
            continue
        if "training" in content and content["step"] > most:
            newest, most = file, content["step"]
    if files and newest is None:
        raise CheckpointError(
            f"none of the {len(files)} checkpoints in {folder} can be read: mend what the"
            " log says of them, or move the run aside with trainer.override=true"
        )
    return newest
