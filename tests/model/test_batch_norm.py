"""Masked batch normalisation against torch's own, on the valid frames alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from deepspeech2.model.layers import MaskedBatchNorm
from deepspeech2.types import Padded


def pair(n_channels: int) -> tuple[MaskedBatchNorm, nn.BatchNorm1d]:
    ours, theirs = MaskedBatchNorm(n_channels), nn.BatchNorm1d(n_channels)
    with torch.no_grad():
        for parameter in (ours.weight, ours.bias):
            parameter.uniform_(-1, 1)
    theirs.load_state_dict({**ours.state_dict(), "num_batches_tracked": torch.tensor(0)})
    return ours, theirs


def test_equals_torch_on_valid_frames_with_gradients() -> None:
    draw = torch.Generator().manual_seed(0)
    items = [3 + 2 * torch.randn(n, 5, generator=draw) for n in (9, 4, 1, 6)]
    ours, theirs = pair(5)
    for training in (True, True, False):
        ours.train(training)
        theirs.train(training)
        batch = Padded.stack(items)
        data = batch.data.clone().requires_grad_()
        flat = torch.cat(items).requires_grad_()
        mask = batch.mask()
        out = ours(data * mask[..., None], mask[..., None].float(), channel_dim=2)
        expected = theirs(flat)
        torch.testing.assert_close(out[mask], expected, atol=1e-5, rtol=1e-5)
        assert out[~mask].abs().max() == 0
        weights = torch.randn(expected.shape, generator=draw)
        (out[mask] * weights).sum().backward()
        (expected * weights).sum().backward()
        torch.testing.assert_close(data.grad[mask], flat.grad, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(ours.running_var, theirs.running_var, atol=1e-6, rtol=1e-5)


def test_image_layout_counts_every_frequency() -> None:
    x = torch.randn(2, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    ours, theirs = MaskedBatchNorm(3), nn.BatchNorm2d(3)
    out = ours(x, torch.ones(2, 1, 1, 6), channel_dim=1)
    torch.testing.assert_close(out, theirs(x), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.running_var, theirs.running_var)


def test_a_batch_without_audio_leaves_the_statistics() -> None:
    ours = MaskedBatchNorm(2).train()
    ours(5 + torch.randn(1, 50, 2), torch.ones(1, 50, 1), channel_dim=2)
    before = ours.running_mean.clone(), ours.running_var.clone()
    ours(torch.zeros(1, 50, 2), torch.zeros(1, 50, 1), channel_dim=2)
    torch.testing.assert_close((ours.running_mean, ours.running_var), before, rtol=0, atol=0)


@pytest.mark.parametrize("ratio", [0.0, 1.0, 1e3])
@pytest.mark.parametrize("channel_dim", [1, 2])
def test_keeps_its_precision_far_from_zero(ratio: float, channel_dim: int) -> None:
    """Against float64 on the data as float32, with gradients, beside much padding."""
    draw = torch.Generator().manual_seed(0)
    lengths = torch.tensor([60, 17, 0, 33])
    valid = torch.arange(60) < lengths[:, None]
    deviations = torch.tensor([0.01, 1.0, 30.0])
    data = deviations * (
        torch.tensor([1.0, -1.0, 1.0]) * ratio + torch.randn(4, 60, 3, generator=draw)
    )
    above = torch.randn(4, 60, 3, generator=draw)
    results = []
    for kind in (torch.float64, torch.float32):
        given = data.to(kind).requires_grad_()
        zeroed = given * valid[..., None]
        if kind == torch.float64:
            frames = given[valid]
            variance, mean = torch.var_mean(frames, 0, correction=0)
            out = ((frames - mean) / (variance + 1e-5).sqrt() * above[valid]).sum()
            moments = mean * 0.1, 0.9 + 0.1 * frames.var(0)
        else:
            norm = MaskedBatchNorm(3).train()
            mask = valid[..., None].to(kind)
            if channel_dim == 1:
                zeroed, mask = zeroed.mT[:, :, None], mask.mT[:, :, None]
            normalized = norm(zeroed, mask, channel_dim)
            normalized = normalized[:, :, 0].mT if channel_dim == 1 else normalized
            out = (normalized * above).sum()
            moments = norm.running_mean, norm.running_var
        (gradient,) = torch.autograd.grad(out, given)
        results.append((out, *moments, gradient * deviations))
    for ours, theirs in zip(results[1], results[0], strict=True):
        # values near one; the data have 2^-24 of their mean, a thousand deviations
        torch.testing.assert_close(ours.double(), theirs.double(), rtol=1e-5, atol=2e-5)
