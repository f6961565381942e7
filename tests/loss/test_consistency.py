"""CTC of two views: against plain CTC, its gradient against the closed form, and in a pipeline."""

from __future__ import annotations

import pytest
import torch

from deepspeech2.errors import ConfigError
from deepspeech2.loss import ConsistentCtcLoss, CtcLoss
from deepspeech2.loss.consistency import divergence
from deepspeech2.model import DeepSpeech2
from deepspeech2.pipeline import Pipeline
from deepspeech2.seeding import generator
from deepspeech2.transforms import FrontEnd, LogMelSpectrogram, SpecAugment, SpeedPerturbation
from deepspeech2.types import Padded


def noise(seed: int, *lengths: int, tokens: int = 5) -> Padded:
    draw = torch.Generator().manual_seed(seed)
    return Padded.stack([torch.randn(length, tokens, generator=draw) for length in lengths])


def log_probs_of(logits: Padded) -> Padded:
    return Padded(logits.data.log_softmax(2), logits.lengths)


LABELS = Padded.stack([torch.tensor([1, 2, 3]), torch.tensor([4])])


def test_views_that_agree_are_plain_ctc() -> None:
    once = log_probs_of(noise(0, 9, 6))
    twice = Padded(once.data.repeat(2, 1, 1), once.lengths.repeat(2))
    plain, both = CtcLoss()(once, LABELS), ConsistentCtcLoss(weight=7.0)(twice, LABELS)
    torch.testing.assert_close(both.total, plain.total)
    assert both.count == plain.count == 4


def test_one_view_is_plain_ctc() -> None:
    once = log_probs_of(noise(0, 9, 6))
    assert ConsistentCtcLoss()(once, LABELS) == CtcLoss()(once, LABELS)


def test_views_that_differ_pay_by_their_weight() -> None:
    one, other = log_probs_of(noise(1, 9, 6)), log_probs_of(noise(2, 9, 6))
    both = Padded(torch.cat((one.data, other.data)), one.lengths.repeat(2))
    mean = (CtcLoss()(one, LABELS).total + CtcLoss()(other, LABELS).total) / 2
    torch.testing.assert_close(ConsistentCtcLoss(weight=0.0)(both, LABELS).total, mean)
    apart = sum(
        (p.exp() * (p - q)).sum() + (q.exp() * (q - p)).sum()
        for p, q in zip(one.unpad(), other.unpad(), strict=True)
    )
    found = ConsistentCtcLoss(weight=0.4)(both, LABELS).total
    torch.testing.assert_close(found, mean + 0.4 * apart / 2)


def test_a_view_learns_from_the_other_as_given() -> None:
    logits, teacher = noise(3, 9, 6), log_probs_of(noise(4, 9, 6))
    logits.data.requires_grad_(True)
    teacher.data.requires_grad_(True)
    divergence(log_probs_of(logits), teacher.data).backward()
    # of KL(p | softmax(x)) by x
    expected = (logits.data.softmax(2) - teacher.data.exp()).detach()
    expected = Padded(expected, logits.lengths).masked().data
    torch.testing.assert_close(logits.data.grad, expected)
    assert teacher.data.grad is None


def test_training_has_two_views_and_evaluation_one() -> None:
    torch.manual_seed(0)
    network = DeepSpeech2(
        32, 5, conv_channels=(4,), conv_kernels=((5, 5),), conv_strides=((2, 2),), rnn_layers=1,
        rnn_size=8,
    )  # fmt: skip
    masks = SpecAugment(n_time_masks=2, max_time_width=10)
    front_end = FrontEnd(LogMelSpectrogram(n_mels=32), None, [SpeedPerturbation()], [masks])
    pipeline = Pipeline(front_end, network, ConsistentCtcLoss())
    draw = generator("cpu", 5)
    waveforms = Padded.stack([torch.randn(n, generator=draw) for n in (8000, 6000)])
    value, log_probs = pipeline.train()(waveforms, LABELS, generator("cpu", 6))
    first, second = log_probs.data.chunk(2)
    assert len(log_probs) == 4
    assert log_probs.lengths[:2].equal(log_probs.lengths[2:])
    assert not first.allclose(second)
    assert value.total.isfinite()
    _, alone = pipeline.eval()(waveforms, LABELS)
    assert len(alone) == 2


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"loss_function\.weight must be 0 or more, but is -1"):
        ConsistentCtcLoss(weight=-1)


def test_the_weight_rises_over_the_warm_up() -> None:
    one, other = log_probs_of(noise(1, 9, 6)), log_probs_of(noise(2, 9, 6))
    both = Padded(torch.cat((one.data, other.data)), one.lengths.repeat(2))
    loss = ConsistentCtcLoss(weight=0.4, warmup_steps=8)
    for step, weight in ((0, 0.0), (2, 0.1), (6, 0.3), (8, 0.4), (1000, 0.4)):
        loss.step = step
        expected = ConsistentCtcLoss(weight=weight)(both, LABELS).total
        torch.testing.assert_close(loss(both, LABELS).total, expected)


def test_a_negative_warm_up_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"warmup_steps must be 0 or more, but is -2"):
        ConsistentCtcLoss(warmup_steps=-2)
