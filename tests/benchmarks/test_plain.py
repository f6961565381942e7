"""What the benchmark of the training step compares with computes the same."""

from __future__ import annotations

import pytest
import torch

from benchmarks.plain_deepspeech2 import PlainDeepSpeech2, parameters_in, plain_loss
from deepspeech2.loss import CtcLoss
from deepspeech2.model import DeepSpeech2
from deepspeech2.types import Padded


def make_network() -> DeepSpeech2:
    torch.manual_seed(0)
    return DeepSpeech2(
        32,
        12,
        conv_channels=(4, 8),
        conv_kernels=((11, 11), (7, 5)),
        conv_strides=((2, 2), (2, 1)),
        rnn_layers=2,
        rnn_size=24,
    )


def losses(lengths: list[int]) -> tuple[torch.Tensor, torch.Tensor, DeepSpeech2, PlainDeepSpeech2]:
    """Ours and the plain one's, per label, and the two networks after their backward pass."""
    ours = make_network().train()
    plain = PlainDeepSpeech2(ours).train()
    features = Padded.stack([torch.randn(length, 32) for length in lengths])
    labels = Padded.stack([torch.randint(1, 12, (5,)) for _ in lengths])
    value = CtcLoss()(ours(features), labels)
    first = value.total / value.count
    frames = ours.output_lengths(features.lengths)
    log_probs = plain(features.data, frames)
    second = plain_loss(log_probs, frames, labels.data, labels.lengths)
    first.backward()
    second.backward()
    return first.detach(), second.detach(), ours, plain


def test_equal_lengths_give_the_same_loss_and_gradients() -> None:
    first, second, ours, plain = losses([80, 80, 80])
    torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-5)
    for mine, other in (
        (ours.output.weight, plain.output.weight),
        (ours.convolutions.blocks[0].convolution.weight, plain.convolutions[0].weight),
        (ours.layers[0].back.weight_hh_l0, plain.layers[0].gru.weight_hh_l0_reverse),
    ):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-3, atol=1e-5)


def test_statistics_follow_alike() -> None:
    _, _, ours, plain = losses([80, 80, 80])
    torch.testing.assert_close(ours.norm.running_mean, plain.norm.running_mean)
    torch.testing.assert_close(ours.norm.running_var, plain.norm.running_var)


def test_unequal_lengths_differ_by_the_padding() -> None:
    first, second, *_ = losses([80, 60, 41])
    assert float(first) != pytest.approx(float(second), abs=1e-4)
    assert float(first) == pytest.approx(float(second), rel=0.3)


def test_as_many_parameters() -> None:
    ours = make_network()
    assert parameters_in(PlainDeepSpeech2(ours)) == parameters_in(ours)
