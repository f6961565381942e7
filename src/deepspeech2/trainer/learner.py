"""One optimisation step, and the state that it changes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from deepspeech2 import checkpoint
from deepspeech2.engine import Engine
from deepspeech2.errors import CheckpointError
from deepspeech2.escaping import first_line
from deepspeech2.loss import BLANK
from deepspeech2.optim.state import load_named_state, named_state
from deepspeech2.pipeline import Pipeline
from deepspeech2.seeding import derive_seed, generator
from deepspeech2.trainer.averaging import MovingAverage
from deepspeech2.trainer.resuming import check_optimizer, load_schedule, trial_state
from deepspeech2.types import Batch, Padded

log = logging.getLogger(__name__)

_FRAMES = 8  # of padding that stand for an empty batch


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step did; tensors stay on the device until somebody logs them.

    Attributes:
        total: the loss in nats, over all micro-batches and ranks.
        count: labels that ``total`` runs over.
        norm: of the gradient before clipping.
        finite: scalar bool: whether the weights changed.
        blank_share: of the output frames of this rank, those whose likeliest token is the
            blank; None unless asked for.
    """

    total: Tensor
    count: float
    norm: Tensor
    finite: Tensor
    blank_share: Tensor | None = None


class Learner:
    """Pipeline, optimiser and schedule under an engine.

    Everything random in a step is seeded by the run's seed, the step's number and the rank.

    Args:
        ema: decay of a moving average of the weights; None keeps none.

    Attributes:
        average: that moving average.
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
        ema: float | None = None,
    ) -> None:
        self.engine = engine
        self.pipeline = pipeline.to(engine.device)
        self.optimizer = optimizer
        self.schedule = schedule
        self.max_grad_norm = max_grad_norm
        self.seed = seed
        self.between_steps = True
        self._network, self._wrapped = engine.setup(pipeline.network, optimizer)
        pipeline.through = self._network
        self.average = None if ema is None else MovingAverage(pipeline.network, ema)

    @property
    def learning_rate(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])

    def step(
        self,
        batches: Sequence[Batch],
        number: int,
        *,
        n_labels: float | None = None,
        look: bool = False,
    ) -> StepResult:
        """Learn from ``batches`` together, as step ``number`` of the run.

        The loss of the step is one sum over one count, however the batches are cut and
        whichever rank has them.

        Args:
            batches: micro-batches of this rank, on the CPU; every rank brings as many. Those
                without a readable utterance count for nothing.
            n_labels: labels in the batches of all ranks, more than 0; None: the ranks are asked.
            look: also find out how many frames are blank.
        """
        engine = self.engine
        torch.manual_seed(derive_seed(self.seed, "dropout", number, engine.rank))
        draw = generator(engine.device, self.seed, "augment", number, engine.rank)
        if n_labels is None:
            n_labels = float(engine.host.numbers(count_labels(batches)).sum())
        if engine.world_size == 1:
            batches = [batch for batch in batches if len(batch)]
        self._wrapped.zero_grad()
        totals, blank_share = [], None
        for index, batch in enumerate(batches):
            with engine.accumulating(self._network, more=index + 1 < len(batches)):
                total, log_probs = self._forward(batch, draw)
                # ranks average their gradients: times their number, it is one sum over one count
                engine.backward(total * (engine.world_size / n_labels), self._network)
            totals.append(total.detach())
            if look:
                blank_share = _blank_share(log_probs)
        norm = engine.clip(self._network, self._wrapped, self.max_grad_norm)
        whole = engine.sum(torch.stack(totals).sum())
        finite = norm.isfinite() & whole.isfinite()
        self.between_steps = False
        engine.step(self._wrapped, finite)
        self._advance()
        self.between_steps = True
        return StepResult(whole, n_labels, norm, finite, blank_share)

    def skip(self) -> None:
        """A step without anything to learn from: only the schedule goes on."""
        self._wrapped.zero_grad()
        self.optimizer.step()  # without gradients it changes nothing; a scaler would complain
        self._advance()

    def rehearse(self, batch: Batch) -> None:
        """Forward and backward of ``batch`` at the longest that augmentation can make it.

        What a step needs in memory is taken and given back; nothing else is changed.
        """
        network = self.pipeline.network
        kept = [buffer.clone() for buffer in network.buffers()]
        # the optimiser's two moments, if they are yet to come
        moments = 0 if self.optimizer.state else 2
        reserve = [p.new_empty((moments, *p.shape)) for p in network.parameters()]
        self.pipeline.train()
        try:
            total, _ = self._forward(batch, None)
            self.engine.backward(total, self._network)
        finally:
            self._wrapped.zero_grad()
            with torch.no_grad():
                for buffer, before in zip(network.buffers(), kept, strict=True):
                    buffer.copy_(before)
        del reserve

    def state(self) -> dict[str, Any]:
        """What resuming needs beside the weights."""
        return {
            "optimizer": named_state(self.optimizer, self.pipeline),
            "lr_scheduler": None if self.schedule is None else self.schedule.state_dict(),
            "precision": self.engine.precision_state(),
            "ema": None if self.average is None else self.average.state(),
        }

    def load(self, weights: Mapping[str, Any], state: Mapping[str, Any], path: Path) -> None:
        """Take up the state of a checkpoint.

        Raises:
            CheckpointError: it belongs to another optimiser, schedule or length of run.
        """
        checkpoint.check_weights(self.pipeline, weights, path)
        kept = trial_state(self.optimizer)
        checkpoint.load_weights(self.pipeline, weights, path)
        try:
            anew = load_named_state(self.optimizer, self.pipeline, state["optimizer"], path)
            self.engine.load_precision_state(state["precision"])
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = first_line(error)
            raise CheckpointError(f"{path} was written by another optimizer: {reason}") from error
        check_optimizer(self.optimizer, kept, path)
        if anew:
            log.info("%d tensors were frozen before and begin without moments", len(anew))
        average = state.get("ema")
        if self.average is not None and average is not None:
            self.average.load(average, path)
        load_schedule(self.schedule, state.get("lr_scheduler"), path)

    def _forward(self, batch: Batch, draw: torch.Generator | None) -> tuple[Tensor, Padded]:
        """The loss of ``batch`` in nats, augmented with ``draw`` or lengthened without it.

        Other ranks wait in every step, even for a batch without utterances: that one takes part
        with an utterance of no frames, which enters neither loss nor statistics.
        """
        front_end, device = self.pipeline.front_end, self.engine.device
        if not len(batch):
            features = torch.zeros(1, _FRAMES, front_end.n_features, device=device)
            no_frames = torch.zeros(1, dtype=torch.int64, device=device)
            log_probs = self._network(Padded(features, no_frames))
            return 0.0 * log_probs.data.sum(), log_probs
        moved = batch.to(device, non_blocking=True)
        waveforms = front_end.lengthened(moved.waveforms) if draw is None else moved.waveforms
        loss, log_probs = self.pipeline(waveforms, moved.labels, draw)
        return loss.total, log_probs

    def _advance(self) -> None:
        if self.schedule is not None:
            self.schedule.step()
        if self.average is not None:
            self.average.update()


def count_labels(batches: Sequence[Batch]) -> float:
    """Labels in batches that lie on the CPU."""
    return float(sum(int(batch.labels.lengths.sum()) for batch in batches))


@torch.no_grad()
def _blank_share(log_probs: Padded) -> Tensor:
    blank = (log_probs.data.argmax(2) == BLANK) & log_probs.mask()
    return blank.sum() / log_probs.lengths.sum().clamp(min=1)
