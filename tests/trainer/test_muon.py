"""Muon: orthogonal steps for matrices, AdamW to the bit for the rest."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from deepspeech2.errors import ConfigError
from deepspeech2.optim.muon import Muon, orthogonalised


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(40, 40), (40, 90), (90, 40)])
def test_singular_values_come_near_one_and_vectors_stay(shape: tuple[int, int]) -> None:
    matrices = random(3, *shape)
    found = orthogonalised(matrices)
    left, values, right = torch.linalg.svd(matrices, full_matrices=False)
    # in the basis of the singular vectors nothing but the diagonal is left
    inside = left.mT @ found @ right.mT
    diagonal = inside.diagonal(dim1=-2, dim2=-1)
    torch.testing.assert_close(inside, torch.diag_embed(diagonal), atol=1e-4, rtol=0)
    large = values > 0.01 * torch.linalg.matrix_norm(matrices)[:, None]
    assert diagonal[large].min() > 0.6
    assert diagonal.max() < 1.3


def test_first_step_of_a_matrix() -> None:
    """weight (1 - lr decay) - lr 0.2 sqrt(largest side) times the orthogonalised gradient."""
    weight = nn.Parameter(random(50, 80))
    before = weight.detach().clone()
    weight.grad = random(50, 80, seed=1)
    Muon([weight], lr=0.01, weight_decay=0.1).step()
    # the momentum is a multiple of the gradient in the first step, and multiples do not count
    direction = orthogonalised(weight.grad[None])[0]
    expected = before * (1 - 0.001) - 0.01 * 0.2 * math.sqrt(80) * direction
    torch.testing.assert_close(weight.detach(), expected, atol=1e-6, rtol=0)


def test_size_of_the_gradient_does_not_matter_to_a_matrix() -> None:
    steps = []
    for scale in (1.0, 1e3):
        weight = nn.Parameter(torch.zeros(40, 40))
        weight.grad = scale * random(40, 40)
        Muon([weight]).step()
        steps.append(weight.detach())
    torch.testing.assert_close(steps[0], steps[1], atol=1e-7, rtol=1e-4)


def test_each_gate_has_a_step_of_its_own() -> None:
    """A gate whose gradient is a thousand times the others' does not take their share."""
    stacked = nn.Parameter(torch.zeros(120, 40))
    gates = [nn.Parameter(torch.zeros(40, 40)) for _ in range(3)]
    stacked.grad = random(120, 40) * torch.tensor([1000.0, 1.0, 1.0]).repeat_interleave(40)[:, None]
    for gate, part in zip(gates, stacked.grad.chunk(3), strict=True):
        gate.grad = part.clone()
    Muon([stacked]).step()
    Muon(gates).step()
    torch.testing.assert_close(stacked.detach(), torch.cat([g.detach() for g in gates]))


def test_everything_else_is_adamw_to_the_bit() -> None:
    shapes = [(40,), (8, 1, 5, 5), (10, 60)]
    ours = [nn.Parameter(random(*shape)) for shape in shapes]
    theirs = [nn.Parameter(random(*shape)) for shape in shapes]
    options = {"lr": 0.02, "weight_decay": 0.1, "betas": (0.8, 0.99), "eps": 1e-7}
    muon, adamw = Muon(ours, **options), torch.optim.AdamW(theirs, **options)  # type: ignore[arg-type]
    for step in range(3):
        for index, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            one.grad = random(*one.shape, seed=10 * step + index)
            other.grad = one.grad.clone()
        muon.step()
        adamw.step()
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(40, 40), nn.Tanh(), nn.Linear(40, 5))


def learn(network: nn.Module, optimizer: torch.optim.Optimizer, start: int, end: int) -> float:
    total = 0.0
    for step in range(start, end):
        loss = (network(random(16, 40, seed=step)) - 1).square().mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total = float(loss.detach())
    return total


@pytest.mark.parametrize("fused", [False, True])
def test_resumed_equals_uninterrupted(fused: bool) -> None:
    whole = model()
    learn(whole, Muon(whole.parameters(), fused=fused), 0, 6)
    first = model()
    optimizer = Muon(first.parameters(), fused=fused)
    learn(first, optimizer, 0, 3)
    second = copy.deepcopy(first)
    resumed = Muon(second.parameters(), fused=fused)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    learn(second, resumed, 3, 6)
    for one, other in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_follows_a_schedule_and_learns() -> None:
    network = model()
    optimizer = Muon(network.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=60)
    before = learn(network, optimizer, 0, 1)
    for step in range(1, 60):
        after = learn(network, optimizer, step, step + 1)
        schedule.step()
    assert {group["lr"] for group in optimizer.param_groups} == {schedule.get_last_lr()[0]}
    assert after < 0.2 * before


def test_a_broken_gradient_changes_nothing_but_the_count_of_steps() -> None:
    """As the engine tells a fused optimiser on the device."""
    network = model()
    optimizer = Muon(network.parameters(), fused=True)
    learn(network, optimizer, 0, 2)
    weights = [p.detach().clone() for p in network.parameters()]
    moments = [optimizer.state[p]["momentum"].clone() for p in (network[0].weight,)]
    for parameter in network.parameters():
        parameter.grad = torch.full_like(parameter, math.nan)
    optimizer.found_inf = torch.tensor(1.0)  # type: ignore[attr-defined]
    optimizer.step()
    del optimizer.found_inf  # type: ignore[attr-defined]
    for before, now in zip(weights, network.parameters(), strict=True):
        assert torch.equal(before, now)
    assert torch.equal(moments[0], optimizer.state[network[0].weight]["momentum"])
    learn(network, optimizer, 2, 3)
    assert all(p.isfinite().all() for p in network.parameters())


def test_step_without_gradients_changes_nothing() -> None:
    network = model()
    weights = [p.detach().clone() for p in network.parameters()]
    Muon(network.parameters()).step()
    for before, now in zip(weights, network.parameters(), strict=True):
        assert torch.equal(before, now)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"momentum": 1.0}, "momentum must be at least 0 and below 1, but is 1.0"),
        ({"smallest": 0}, "gates and smallest must be at least 1, but are 3, 0"),
    ],
)
def test_bad_values_are_named(options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Muon([nn.Parameter(torch.zeros(2))], **options)  # type: ignore[arg-type]
