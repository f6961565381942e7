"""One step: what is skipped changes nothing, batches add up, averages follow."""

from __future__ import annotations

import math
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from deepspeech2.devices import pick_precision
from deepspeech2.errors import ConfigError
from deepspeech2.trainer import Learner, Muon
from deepspeech2.types import Batch
from tests.trainer.small import as_batch, make_learner, noise


def spoilt(batch: Batch) -> Batch:
    batch.waveforms.data[0, 4000:4100] = float("nan")
    return batch


def snapshot(learner: Learner) -> Any:
    return deepcopy((learner.pipeline.state_dict(), learner.optimizer.state_dict()["state"]))


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        (torch.optim.AdamW, {"fused": True}),
        (torch.optim.AdamW, {"fused": False}),
        (torch.optim.SGD, {"momentum": 0.9}),
    ],
)
def test_a_step_that_is_not_finite_changes_nothing(
    optimizer: type[torch.optim.Optimizer], options: dict[str, Any]
) -> None:
    learner = make_learner(optimizer, **options)
    assert learner.step([as_batch(noise(0))], 0).finite
    before = snapshot(learner)
    rate = learner.learning_rate
    assert not learner.step([spoilt(as_batch(noise(1)))], 1).finite
    torch.testing.assert_close(snapshot(learner), before, rtol=0, atol=0)
    assert learner.learning_rate > rate  # the schedule is a function of the step's number
    assert learner.step([as_batch(noise(2))], 2).finite
    moved = snapshot(learner)[0]
    assert any(not torch.equal(moved[key], before[0][key]) for key in moved)


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_a_scaled_loss_changes_nothing_but_what_is_too_small(precision: str) -> None:
    """As under bf16 on a GPU, whose recurrent layers have float16's range of gradients."""
    learnt = []
    for scale in (1.0, 2.0**10):
        learner = make_learner(precision=precision)
        learner.engine._scale = scale
        learner.rehearse(as_batch(noise(9)))
        steps = [learner.step([as_batch(noise(2 * n)), as_batch(noise(2 * n + 1))], n)
                 for n in range(3)]  # fmt: skip
        learnt.append(([step.norm for step in steps], learner.pipeline.state_dict()))
    torch.testing.assert_close(learnt[1], learnt[0], rtol=0, atol=0)


def test_bf16_on_a_cpu_learns_like_float32_and_resumes_to_the_bit() -> None:
    batches = [as_batch(noise(number)) for number in range(2)]

    def losses(learner: Learner, steps: range) -> list[float]:
        results = [learner.step([batches[number % 2]], number) for number in steps]
        return [float(result.total) / result.count for result in results]

    exact = losses(make_learner(Muon, dropout=0.1), range(20))
    learner = make_learner(Muon, dropout=0.1, precision="bf16")
    near = losses(learner, range(10))
    weights, state = deepcopy((learner.pipeline.state_dict(), learner.state()))
    near += losses(learner, range(10, 20))
    assert near != exact
    assert near == pytest.approx(exact, rel=0.05)
    assert near[-1] < 0.5 * near[0]
    resumed = make_learner(Muon, dropout=0.1, precision="bf16")
    resumed.load(weights, state, Path("bf16.pth"))
    assert losses(resumed, range(10, 20)) == near[10:]
    assert all(p.dtype == torch.float32 for p in resumed.pipeline.parameters())


def test_bf16_is_refused_where_it_would_be_imitated(monkeypatch: pytest.MonkeyPatch) -> None:
    host = "llvmlite.binding.get_host_cpu_features"
    monkeypatch.setattr(host, lambda: {"avx512f": True, "avx512bf16": False})
    with pytest.raises(ConfigError, match="precision is bf16, but this processor has no"):
        pick_precision("bf16", torch.device("cpu"))
    monkeypatch.setattr(host, lambda: {"avx512f": True, "avx512bf16": True})
    assert pick_precision("bf16", torch.device("cpu")) == "bf16-mixed"
    assert pick_precision("auto", torch.device("cpu")) == "32-true"


def test_a_first_step_that_is_not_finite_is_no_end() -> None:
    for options in ({"fused": True}, {"fused": False}):
        learner = make_learner(**options)
        assert not learner.step([spoilt(as_batch(noise(1)))], 0).finite
        assert learner.step([as_batch(noise(2))], 1).finite


def test_micro_batches_weigh_by_their_labels() -> None:
    """Without statistics of the batch, cut in two is the same as in one."""
    gradients = []
    items = noise(3, number=6)
    for batches in ([items], [items[:1], items[1:]]):
        learner = make_learner(torch.optim.SGD)
        learner.pipeline.eval()
        result = learner.step([as_batch(each) for each in batches], 0)
        assert result.count == sum(len(labels) for _, labels in items)
        gradients.append([parameter.grad.clone() for parameter in learner.pipeline.parameters()])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)


def test_a_batch_without_utterances_counts_for_nothing() -> None:
    weights = []
    for batches in ([noise(4)], [noise(4), []]):
        learner = make_learner()
        learner.step([as_batch(each) for each in batches], 0)
        weights.append(learner.pipeline.state_dict())
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=0)


def test_a_rehearsal_changes_nothing() -> None:
    learner = make_learner(dropout=0.1)
    before = snapshot(learner)
    learner.rehearse(as_batch(noise(5)))
    learner.rehearse(as_batch([]))
    torch.testing.assert_close(snapshot(learner), before, rtol=0, atol=0)
    assert all(parameter.grad is None for parameter in learner.pipeline.parameters())


class Reserved(TorchDispatchMode):
    """Counts the numbers that are reserved and not written."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.new_empty.default:
            self.count += math.prod(args[1])
        return func(*args, **(kwargs or {}))


def test_a_rehearsal_reserves_the_moments_that_the_optimiser_has_not() -> None:
    learner = make_learner()
    counts = []
    for number in range(2):
        with Reserved() as reserved:
            learner.rehearse(as_batch(noise(5)))
        counts.append(reserved.count)
        learner.step([as_batch(noise(5))], number)
    n_weights = sum(each.numel() for each in learner.pipeline.network.parameters())
    moments = [each for of in learner.optimizer.state.values() for each in of.values()]
    assert sum(each.numel() for each in moments if each.ndim) == 2 * n_weights
    assert counts[0] - counts[1] == 2 * n_weights  # what the pass itself reserves is no matter


def test_blank_share_is_that_of_the_valid_frames() -> None:
    learner = make_learner()
    output = learner.pipeline.network.output
    with torch.no_grad():
        output.weight.zero_()
        output.bias.zero_()
        output.bias[0] = 1.0
    result = learner.step([as_batch(noise(6))], 0, look=True)
    assert float(result.blank_share) == 1.0
    assert learner.step([as_batch(noise(6))], 1).blank_share is None


def test_the_moving_average_follows_its_formula() -> None:
    learner = make_learner(ema=0.5)
    assert learner.average is not None
    name = "output.weight"
    live = learner.pipeline.network.state_dict()[name]
    expected = live.clone().double()
    for step in range(4):
        learner.step([as_batch(noise(step))], step)
        decay = min(0.5, (2 + step) / (11 + step))
        expected += (1 - decay) * (live.double() - expected)
    before = {key: value.clone() for key, value in learner.pipeline.state_dict().items()}
    with learner.average.applied():
        averaged = learner.pipeline.network.state_dict()[name]
        torch.testing.assert_close(averaged.double(), expected, rtol=1e-5, atol=1e-7)
        assert not torch.equal(averaged, before[f"network.{name}"])
    torch.testing.assert_close(learner.pipeline.state_dict(), before, rtol=0, atol=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("precision", ["bf16", "32"])
def test_a_step_on_a_gpu_waits_for_nothing(precision: str) -> None:
    learner = make_learner(fused=True, device="cuda", precision=precision, ema=0.9)
    batches = [as_batch(noise(0)).pin_memory(), as_batch(noise(1)).pin_memory()]
    for number in range(2):
        assert learner.step(batches, number).finite  # cuDNN and cuBLAS choose their kernels
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        result = learner.step(batches, 2)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert result.finite
    before = snapshot(learner)
    assert not learner.step([spoilt(as_batch(noise(1)))], 3).finite
    torch.testing.assert_close(snapshot(learner), before, rtol=0, atol=0)
