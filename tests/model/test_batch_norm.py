"""Masked batch normalisation against torch's own, on the valid frames alone."""

from __future__ import annotations

import torch
from torch import nn

from src.model.normalization import MaskedBatchNorm
from src.types import Padded


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
