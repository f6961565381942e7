"""CTC against the sum over all alignments, and how sums over batches add up."""

from __future__ import annotations

from itertools import groupby, product

import pytest
import torch

from deepspeech2.loss import CtcLoss
from deepspeech2.types import Padded


def collapse(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(token for token, _ in groupby(path) if token)


@pytest.mark.parametrize("labels", [(1,), (1, 2), (2, 2), (1, 2, 1)])
def test_equals_the_sum_over_alignments(labels: tuple[int, ...]) -> None:
    frames = 5
    log_probs = torch.randn(frames, 3, generator=torch.Generator().manual_seed(2)).log_softmax(1)
    total = sum(
        log_probs[range(frames), path].sum().exp()
        for path in product(range(3), repeat=frames)
        if collapse(path) == labels
    )
    value = CtcLoss()(Padded.stack([log_probs]), Padded.stack([torch.tensor(labels)]))
    torch.testing.assert_close(value.total, -torch.as_tensor(total).log())
    assert value.count == len(labels)


def test_batch_is_the_sum_of_its_utterances() -> None:
    draw = torch.Generator().manual_seed(3)
    frames = [torch.randn(n, 4, generator=draw).log_softmax(1) for n in (9, 5, 7)]
    labels = [torch.tensor(x) for x in ([1, 2, 3], [2], [3, 3])]
    loss = CtcLoss()
    whole = loss(Padded.stack(frames), Padded.stack(labels))
    parts = [
        loss(Padded.stack([f]), Padded.stack([y])) for f, y in zip(frames, labels, strict=True)
    ]
    torch.testing.assert_close(whole.total, sum(part.total for part in parts))
    assert whole.count == 6


def test_an_utterance_that_cannot_be_aligned_adds_nothing() -> None:
    short = torch.zeros(2, 3).log_softmax(1)
    labels = torch.tensor([1, 1, 2])
    value = CtcLoss()(Padded.stack([short]), Padded.stack([labels]))
    assert value.total == 0
    strict = CtcLoss(zero_infinity=False)(Padded.stack([short]), Padded.stack([labels]))
    assert strict.total == float("inf")


def test_float16_log_probabilities_are_summed_in_float32() -> None:
    log_probs = Padded.stack([torch.randn(6, 3).log_softmax(1).half()])
    value = CtcLoss()(log_probs, Padded.stack([torch.tensor([1, 2])]))
    assert value.total.dtype == torch.float32
