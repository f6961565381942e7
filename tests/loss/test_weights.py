"""Weights of utterances: against sums by hand, in all losses, and through a learner's resume."""

from __future__ import annotations

import json
import math
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from deepspeech2.commands.training_data import _check_weights
from deepspeech2.datasets import ManifestCorpus
from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.loss import ConsistentCtcLoss, CtcLoss, as_loss
from deepspeech2.trainer import Learner
from deepspeech2.types import Batch, Padded
from tests.trainer.small import as_batch, make_learner, noise

WEIGHTS = (1.0, 0.25, 0.0, 0.5, 2.0)


def weighted(batch: Batch) -> Batch:
    pairs = zip(batch.utterances, WEIGHTS, strict=True)
    return replace(batch, utterances=tuple(replace(each, weight=w) for each, w in pairs))


def log_probs(seed: int, *lengths: int) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(length, 4, generator=draw).log_softmax(1) for length in lengths]


def test_by_hand() -> None:
    # one frame, one label: the loss is the label's log-probability; two frames: three paths
    one = torch.tensor([[0.5, 0.3, 0.2]])
    two = torch.tensor([[0.6, 0.1, 0.3], [0.2, 0.3, 0.5]])
    labels = Padded.stack([torch.tensor([1]), torch.tensor([2])])
    frames = Padded.stack([one.log(), two.log()])
    found = CtcLoss()(frames, labels, weights=torch.tensor([0.5, 0.25]))
    second = 0.3 * 0.5 + 0.6 * 0.5 + 0.3 * 0.2
    assert float(found.total) == pytest.approx(-0.5 * math.log(0.3) - 0.25 * math.log(second))
    assert found.count == 2


@pytest.mark.parametrize("weight", [0.0, 0.4])
def test_each_utterance_counts_by_its_weight_and_views_agree_without(weight: float) -> None:
    first, second = log_probs(1, 9, 6), log_probs(2, 9, 6)
    labels = [torch.tensor([1, 2, 3]), torch.tensor([2])]
    both = Padded.stack([*first, *second])
    loss = ConsistentCtcLoss(weight=weight)
    found = loss(both, Padded.stack(labels), weights=torch.tensor([0.5, 3.0])).total
    plain = [
        (CtcLoss()(Padded.stack([f]), Padded.stack([y])).total
         + CtcLoss()(Padded.stack([s]), Padded.stack([y])).total) / 2
        for f, s, y in zip(first, second, labels, strict=True)
    ]  # fmt: skip
    apart = sum(
        (p.exp() * (p - q)).sum() + (q.exp() * (q - p)).sum()
        for p, q in zip(first, second, strict=True)
    )
    torch.testing.assert_close(found, 0.5 * plain[0] + 3 * plain[1] + weight * apart / 2)


def gradients(learner: Learner, batch: Batch) -> list[torch.Tensor]:
    learner.step([batch], 0)
    return [p.grad.clone() for p in learner.pipeline.parameters() if p.grad is not None]


def test_an_utterance_without_weight_teaches_nothing() -> None:
    items = noise(3)
    other = [(wave, labels.flip(0)) if i == 2 else (wave, labels)
             for i, (wave, labels) in enumerate(items)]  # fmt: skip
    one, two = (gradients(make_learner(), weighted(as_batch(each))) for each in (items, other))
    torch.testing.assert_close(one, two, rtol=0, atol=0)
    plain = gradients(make_learner(), as_batch(items))
    assert any(not torch.allclose(a, b) for a, b in zip(one, plain, strict=True))


def test_weights_of_one_change_nothing_to_the_bit() -> None:
    batch = as_batch(noise(3))
    assert batch.weights is None
    ones = Padded.stack(log_probs(1, 9, 6)), Padded.stack([torch.tensor([1]), torch.tensor([2])])
    torch.testing.assert_close(
        CtcLoss()(*ones, weights=torch.ones(2)).total, CtcLoss()(*ones).total
    )


def test_a_resumed_run_is_an_uninterrupted_one() -> None:
    def learnt(learner: Learner, numbers: range) -> list[torch.Tensor]:
        for number in numbers:
            learner.step([weighted(as_batch(noise(number)))], number)
        return [p.detach().clone() for p in learner.pipeline.parameters()]

    learner = make_learner(dropout=0.1)
    learnt(learner, range(3))
    weights, state = deepcopy((learner.pipeline.state_dict(), learner.state()))
    expected = learnt(learner, range(3, 6))
    resumed = make_learner(dropout=0.1)
    resumed.load(weights, state, Path("weights.pth"))
    torch.testing.assert_close(learnt(resumed, range(3, 6)), expected, rtol=0, atol=0)


def test_a_manifest_has_them(tmp_path: Path) -> None:
    rows = [{"audio_filepath": f"{n}.wav", "duration": 1, "weight": w}
            for n, w in enumerate((0.5, 0, None, 1))]  # fmt: skip
    (tmp_path / "m.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert [each.weight for each in ManifestCorpus(tmp_path / "m.jsonl")] == [0.5, 0.0, 1.0, 1.0]
    (tmp_path / "bad.jsonl").write_text(json.dumps({**rows[0], "weight": -1}))
    with pytest.raises(ManifestError, match="weight must be a number of at least 0, but is -1"):
        ManifestCorpus(tmp_path / "bad.jsonl")


def test_a_loss_that_takes_none_is_refused_with_them(tmp_path: Path) -> None:
    rows = [{"audio_filepath": "a.wav", "duration": 1, "weight": w} for w in (1, 0.5)]
    for name, own in (("plain", rows[:1]), ("weighted", rows)):
        (tmp_path / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in own))
    pipeline = make_learner().pipeline
    weighted, plain = (ManifestCorpus(tmp_path / f"{n}.jsonl") for n in ("weighted", "plain"))
    _check_weights(weighted, pipeline)
    pipeline.loss = as_loss(torch.nn.CTCLoss())
    _check_weights(plain, pipeline)
    with pytest.raises(ConfigError, match="weighted has weights, which loss_function=LossFunction"):
        _check_weights(weighted, pipeline)
