"""One optimisation step, and the state that it changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from src import checkpoint
from src.engine import Engine
from src.errors import CheckpointError
from src.pipeline import Pipeline
from src.seeding import derive_seed, generator
from src.types import Batch


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step did; tensors stay on the device until somebody logs them.

    Attributes:
        total, count: of the loss over all ranks, see :class:`src.loss.LossValue`.
        norm: of the gradient before clipping.
        stepped: whether the weights changed.
    """

    total: Tensor
    count: Tensor
    norm: Tensor
    stepped: bool


class Learner:
    """Pipeline, optimiser and schedule under an engine.

    Everything random in a step is seeded by the run's seed, the step's number and the rank.
    """

    def __init__(
        self,
        engine: Engine,
        pipeline: Pipeline,
        optimizer: torch.optim.Optimizer,
        schedule: LRScheduler | None,
        *,
        max_grad_norm: float | None,
        seed: int,
    ) -> None:
        self.engine = engine
        self.pipeline = pipeline.to(engine.device)
        self.optimizer = optimizer
        self.schedule = schedule
        self.max_grad_norm = max_grad_norm
        self.seed = seed
        self._network, self._wrapped = engine.setup(pipeline.network, optimizer)
        pipeline.through = self._network

    @property
    def learning_rate(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])

    def step(self, batch: Batch, number: int) -> StepResult:
        """Learn from ``batch`` as step ``number`` of the run."""
        engine, pipeline = self.engine, self.pipeline
        torch.manual_seed(derive_seed(self.seed, "dropout", number, engine.rank))
        draw = generator(engine.device, self.seed, "augment", number, engine.rank)
        moved = batch.to(engine.device, non_blocking=True)
        self._wrapped.zero_grad()
        loss, _ = pipeline(moved.waveforms, moved.labels, draw)
        count = engine.sum(loss.count)
        # ranks average their gradients: times their number, it is one sum over one count
        engine.backward(loss.total * (engine.world_size / count), self._network)
        norm = engine.clip(self._network, self._wrapped, self.max_grad_norm)
        stepped = engine.step(self._wrapped, norm)
        if stepped and self.schedule is not None:
            self.schedule.step()
        return StepResult(engine.sum(loss.total.detach()), count, norm, stepped)

    def state(self) -> dict[str, Any]:
        """What resuming needs beside the weights."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "lr_scheduler": None if self.schedule is None else self.schedule.state_dict(),
            "precision": self.engine.precision_state(),
        }

    def load(self, weights: Mapping[str, Any], state: Mapping[str, Any], path: Path) -> None:
        """Take up the state of a checkpoint.

        Raises:
            CheckpointError: it belongs to another optimiser, schedule or length of run.
        """
        checkpoint.load_weights(self.pipeline, weights, path)
        try:
            self.optimizer.load_state_dict(state["optimizer"])
            self.engine.load_precision_state(state["precision"])
        except (KeyError, ValueError) as error:
            raise CheckpointError(f"{path} was written by another optimizer: {error}") from error
        planned = None if self.schedule is None else self.schedule.state_dict()
        saved = state.get("lr_scheduler")
        if (planned is None) != (saved is None):
            raise CheckpointError(f"{path} was written with another lr_scheduler")
        if self.schedule is None or planned is None or saved is None:
            return
        for key in ("total_steps", "base_lrs"):
            if planned.get(key) != saved.get(key):
                raise CheckpointError(
                    f"{path} follows a schedule with {key}={saved.get(key)}, but the config"
                    f" plans {planned.get(key)}: resume with the same n_epochs, data and"
                    " batches, or start a new run with trainer.from_pretrained"
                )
        self.schedule.load_state_dict(dict(saved))
