"""What an optimiser knows of a parameter is that parameter's, whatever else is learnt."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from deepspeech2.errors import CheckpointError
from deepspeech2.trainer import Learner, Muon
from tests.trainer.small import as_batch, make_learner, noise

PATH = Path("checkpoint-last.pth")
OPTIMIZERS: list[tuple[type[torch.optim.Optimizer], dict[str, Any]]] = [
    (torch.optim.AdamW, {}),
    (torch.optim.AdamW, {"fused": True}),
    (torch.optim.SGD, {"momentum": 0.9}),
    (torch.optim.Adafactor, {}),
    (Muon, {"smallest": 8}),
]
CHANGES: list[tuple[list[str], list[str]]] = [
    (["layers.0.*"], ["layers.1.*"]),  # as many, of other shapes
    (["layers.*", "convolutions.*"], []),  # all of what Muon orthogonalises
    ([], ["output.*", "layers.*"]),
]


def saved(learner: Learner) -> dict[str, Any]:
    """As a checkpoint has it, apart from the learner's own tensors."""
    return copy.deepcopy({"weights": learner.pipeline.state_dict(), **learner.state()})


def load(learner: Learner, state: dict[str, Any]) -> None:
    learner.load(state["weights"], state, PATH)


@pytest.mark.parametrize(("before", "after"), CHANGES, ids=str)
@pytest.mark.parametrize(("optimizer", "options"), OPTIMIZERS)
def test_each_parameter_finds_its_own(
    optimizer: type[torch.optim.Optimizer],
    options: dict[str, Any],
    before: list[str],
    after: list[str],
) -> None:
    first = make_learner(optimizer, frozen=before, **options)
    first.step([as_batch(noise(0, number=2))], 0)
    second = make_learner(optimizer, frozen=after, **options)
    load(second, saved(first))
    names = {
        name
        for name, parameter in second.pipeline.named_parameters()
        if parameter.requires_grad and first.pipeline.get_parameter(name).requires_grad
    }
    ours, theirs = second.state()["optimizer"], first.state()["optimizer"]
    assert set(ours["state"]) == names
    assert names
    for name in names:
        torch.testing.assert_close(ours["state"][name], theirs["state"][name], rtol=0, atol=0)
    for one, other in zip(ours["param_groups"], theirs["param_groups"], strict=True):
        assert {**one, "params": ()} == {**other, "params": ()}
    result = second.step([as_batch(noise(1, number=2))], 1)  # a segmentation fault once
    assert result.finite


@pytest.mark.parametrize(("optimizer", "options"), OPTIMIZERS)
def test_a_state_by_places_is_read_as_it_was_written(
    optimizer: type[torch.optim.Optimizer], options: dict[str, Any]
) -> None:
    """Trainings that an earlier version began go on as if it had been this one."""
    first = make_learner(optimizer, frozen=["layers.0.*"], **options)
    first.step([as_batch(noise(0, number=2))], 0)
    state = saved(first)
    state["optimizer"] = copy.deepcopy(first.optimizer.state_dict())
    second = make_learner(optimizer, frozen=["layers.0.*"], **options)
    load(second, state)
    for learner in (first, second):
        learner.step([as_batch(noise(1, number=2))], 1)
    one, other = first.state()["optimizer"], second.state()["optimizer"]
    assert one["param_groups"] == other["param_groups"]
    torch.testing.assert_close(other["state"], one["state"], rtol=0, atol=0)
    torch.testing.assert_close(saved(second)["weights"], saved(first)["weights"], rtol=0, atol=0)


def test_a_state_of_another_shape_is_refused() -> None:
    first = make_learner()
    first.step([as_batch(noise(0, number=2))], 0)
    by_name, by_place = saved(first), saved(first)
    by_place["optimizer"] = copy.deepcopy(first.optimizer.state_dict())
    for state, key in ((by_name, "network.output.bias"), (by_place, 0)):
        state["optimizer"]["state"][key]["exp_avg"] = torch.zeros(99)
        with pytest.raises(CheckpointError, match=r"a state 'exp_avg' of shape \(99,\)"):
            load(make_learner(), state)


def test_other_numbers_of_places_are_refused() -> None:
    first = make_learner(frozen=["layers.0.*"])
    state = saved(first)
    state["optimizer"] = first.optimizer.state_dict()
    with pytest.raises(CheckpointError, match=r"resume with the same trainer\.freeze"):
        load(make_learner(), state)
