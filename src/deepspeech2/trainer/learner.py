"""One optimisation step, and the state that it changes."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler
from torch.profiler import record_function

from deepspeech2 import checkpoint
from deepspeech2.audio.phones import PhoneTargets
from deepspeech2.engine import Engine
from deepspeech2.errors import CheckpointError
from deepspeech2.escaping import first_line
from deepspeech2.loss import BLANK
from deepspeech2.optim.state import load_optimizer, load_schedule, named_state
from deepspeech2.pipeline import Pipeline
from deepspeech2.seeding import derive_seed, generator
from deepspeech2.types import Batch, Padded, Tapped

log = logging.getLogger(__name__)

_FRAMES = 8  # of padding, in place of an empty batch


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step measured; tensors stay on the device until they are logged.

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
        phones: labels of the phones of utterances, for a network and a loss that learn them.

    Attributes:
        average: that moving average.
        between_steps: whether weights, optimiser and schedule are all of the same step.
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
        phones: PhoneTargets | None = None,
    ) -> None:
        self.engine = engine
        self.phones = phones
        self.pipeline = pipeline.place(engine.device)
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
            batches: micro-batches of this rank, on the CPU; every rank brings equally many. Those
                without a readable utterance count for nothing.
            n_labels: labels in the batches of all ranks, more than 0; None: the ranks are asked.
            look: also measure how many frames are blank.
        """
        # dropout and augmentation depend on the step's number alone, so a resumed run repeats them
        engine = self.engine
        torch.manual_seed(derive_seed(self.seed, "dropout", number, engine.rank))
        draw = generator(self.pipeline.device, self.seed, "augment", number, engine.rank)
        self.pipeline.loss.step = number  # on which warm-ups depend
        if n_labels is None:
            n_labels = float(engine.host.numbers(count_labels(batches)).sum())
        if engine.world_size == 1:
            batches = [batch for batch in batches if len(batch)]

        # ranks average their gradients: times their number, it is one sum over one count
        self._wrapped.zero_grad()
        totals, blank_share = [], None
        for index, batch in enumerate(batches):
            with engine.accumulating(self._network, more=index + 1 < len(batches)):
                total, log_probs = self._forward(batch, draw)
                with record_function("step: backward"):
                    engine.backward(total * (engine.world_size / n_labels), self._network)
            totals.append(total.detach())
            if look:
                blank_share = _blank_share(log_probs)

        # the device decides whether the weights change: the host waits for nothing
        norm = engine.clip(self._network, self._wrapped, self.max_grad_norm)
        whole = engine.sum(torch.stack(totals).sum())
        finite = norm.isfinite() & whole.isfinite()
        self.between_steps = False
        with record_function("step: optimizer"):
            engine.step(self._wrapped, finite)
        self._advance()
        self.between_steps = True
        return StepResult(whole, n_labels, norm, finite, blank_share)

    def skip(self) -> None:
        """Take a step without anything to learn from: only the schedule advances."""
        self._wrapped.zero_grad()
        self.optimizer.step()  # without gradients it changes nothing; a scaler would complain
        self._advance()

    def rehearse(self, batch: Batch) -> None:
        """Run ``batch`` forward and backward at the longest that augmentation can make it.

        It takes the memory of a step and gives it back; nothing else is changed.
        """
        network = self.pipeline.network
        saved = [buffer.clone() for buffer in network.buffers()]
        # the optimiser's two moments, if it does not have them yet
        moments = 0 if self.optimizer.state else 2
        reserve = [p.new_empty((moments, *p.shape)) for p in network.parameters()]
        self.pipeline.train()
        try:
            total, _ = self._forward(batch, None)
            self.engine.backward(total, self._network)
        finally:
            self._wrapped.zero_grad()
            with torch.no_grad():
                for buffer, before in zip(network.buffers(), saved, strict=True):
                    buffer.copy_(before)
        del reserve

    def state(self) -> dict[str, Any]:
        """Return what resuming needs beside the weights."""
        return {
            "optimizer": named_state(self.optimizer, self.pipeline),
            "lr_scheduler": None if self.schedule is None else self.schedule.state_dict(),
            "precision": self.engine.precision_state(),
            "ema": None if self.average is None else self.average.state(),
        }

    def load(self, weights: Mapping[str, Any], state: Mapping[str, Any], path: Path) -> None:
        """Load the weights and the state of the checkpoint ``path``.

        Raises:
            CheckpointError: it belongs to another optimiser, schedule or length of run.
        """
        checkpoint.check_weights(self.pipeline, weights, path)
        new = load_optimizer(self.optimizer, self.pipeline, state["optimizer"], path)
        checkpoint.load_weights(self.pipeline, weights, path)
        try:
            self.engine.load_precision_state(state["precision"])
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = first_line(error)
            raise CheckpointError(f"{path} has the state of another precision: {reason}") from error
        if new:
            log.info("%d tensors were frozen before and begin without moments", len(new))
        average = state.get("ema")
        if self.average is not None and average is not None:
            self.average.load(average, path)
        load_schedule(self.schedule, state.get("lr_scheduler"), path)

    def _forward(self, batch: Batch, draw: torch.Generator | None) -> tuple[Tensor, Padded]:
        """Return the loss of ``batch`` in nats, augmented with ``draw`` or lengthened without it.

        Other ranks wait in every step, even for a batch without utterances: that one takes part
        with an utterance of no frames, which enters neither loss nor statistics.
        """
        front_end = self.pipeline.front_end
        if not len(batch):
            device = self.engine.device
            features = torch.zeros(1, _FRAMES, front_end.n_features, device=device)
            no_frames = torch.zeros(1, dtype=torch.int64, device=device)
            log_probs = self._network(Padded(features, no_frames))
            every = log_probs.tensors[1:] if isinstance(log_probs, Tapped) else (log_probs.data,)
            return torch.stack([0.0 * each.sum() for each in every]).sum(), log_probs
        moved = batch.to(self.pipeline.device, non_blocking=True)
        waveforms = front_end.lengthened(moved.waveforms) if draw is None else moved.waveforms
        phones = None if self.phones is None else self.phones(batch.utterances)
        loss, log_probs = self.pipeline(waveforms, moved.labels, draw, phones, batch.weights)
        return loss.total.to(self.engine.device), log_probs

    def _advance(self) -> None:
        if self.schedule is not None:
            self.schedule.step()
        if self.average is not None:
            self.average.update()


class MovingAverage:
    """Exponential moving average of a module's weights and statistics.

    After step n of it, average += (1 - d) (weights - average) with d = min(decay,
    (1 + n) / (10 + n)), so that the start has little weight (as in TensorFlow's
    ``ExponentialMovingAverage``). Running statistics are averaged like the weights.

    Args:
        module: on its device already.
        decay: between 0 and 1; 0.999 looks back over about a thousand steps.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self._live = {k: v for k, v in module.state_dict().items() if v.is_floating_point()}
        self._average = {name: value.clone() for name, value in self._live.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Follow the weights as they are now."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_([*self._average.values()], [*self._live.values()], 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within, the module has the averaged weights; afterwards its own, to the bit."""
        saved = {name: value.clone() for name, value in self._live.items()}
        _copy(self._average, self._live)
        try:
            yield
        finally:
            _copy(saved, self._live)

    def state(self) -> dict[str, Any]:
        return {"steps": self.steps, "weights": dict(self._average)}

    def load(self, state: Any, path: Path) -> None:
        """Load a saved average.

        Raises:
            CheckpointError: it is one of other weights.
        """
        if not isinstance(state, Mapping):
            raise CheckpointError(f"{path} contains no moving average under 'ema'")
        weights, steps = state.get("weights"), state.get("steps")
        if (
            not isinstance(weights, Mapping)
            or set(weights) != set(self._live)
            or any(getattr(weights[k], "shape", None) != v.shape for k, v in self._live.items())
            or type(steps) is not int
            or steps < 0
        ):
            raise CheckpointError(f"{path} contains a moving average of other weights")
        self.steps = steps
        _copy(weights, self._average)


@torch.no_grad()
def _copy(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
    for name, value in target.items():
        value.copy_(source[name])


def count_labels(batches: Sequence[Batch]) -> float:
    """Count the labels in batches on the CPU."""
    return float(sum(int(batch.labels.lengths.sum()) for batch in batches))


@torch.no_grad()
def _blank_share(log_probs: Padded) -> Tensor:
    blank = (log_probs.data.argmax(2) == BLANK) & log_probs.mask()
    return blank.sum() / log_probs.lengths.sum().clamp(min=1)
