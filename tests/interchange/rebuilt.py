"""Networks of other programs, rebuilt plainly from what they publish: key names and arithmetic."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SummedGru(nn.Module):
    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.gru = nn.GRU(width, size, batch_first=True, bidirectional=True)
        self.batch_norm = nn.BatchNorm1d(width)

    def forward(self, x: Tensor) -> Tensor:
        out, _ = self.gru(self.batch_norm(x.transpose(1, 2)).transpose(1, 2))
        return sum(out.chunk(2, dim=2))


class Predecessor(nn.Module):
    """Log-probabilities (T', V) of one utterance's features (F, T)."""

    def __init__(self, channels: tuple[int, int, int], size: int, layers: int) -> None:
        super().__init__()
        first, second, third = channels
        self.conv_lay = nn.Sequential(
            nn.Conv2d(1, first, (41, 11), (2, 2), (20, 5), bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(),
            nn.Conv2d(first, second, (21, 11), (2, 1), (10, 5), bias=False),
            nn.BatchNorm2d(second),
            nn.ReLU(),
            nn.Conv2d(second, third, (21, 11), (2, 1), (10, 5), bias=False),
            nn.BatchNorm2d(third),
            nn.ReLU(),
        )
        widths = [16 * third] + [size] * (layers - 1)  # 128 mels, halved three times
        self.gru = nn.Sequential(*(SummedGru(width, size) for width in widths))
        self.batch_norm = nn.BatchNorm1d(size)
        self.final = nn.Linear(size, 28)

    def forward(self, features: Tensor) -> Tensor:
        x = self.conv_lay(features[None, None]).flatten(1, 2).transpose(1, 2)
        x = self.gru(x)
        x = self.batch_norm(x.transpose(1, 2)).transpose(1, 2)
        return self.final(x)[0].log_softmax(1)


class TimeFirst(nn.Module):
    """Wraps a module for (N, C), as that program does; only its key name matters."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x)


class Recurrence(nn.Module):
    def __init__(self, cell: type[nn.RNNBase], width: int, size: int, *, norm: bool) -> None:
        super().__init__()
        self.batch_norm = TimeFirst(nn.BatchNorm1d(width)) if norm else None
        self.rnn = cell(width, size, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        """(T, C) of one utterance."""
        if self.batch_norm is not None:
            x = self.batch_norm(x)
        out, _ = self.rnn(x[:, None])
        return sum(out[:, 0].chunk(2, dim=1))


class Masked(nn.Module):
    def __init__(self, seq_module: nn.Module) -> None:
        super().__init__()
        self.seq_module = seq_module


class DeepSpeechPytorch(nn.Module):
    """Log-probabilities (T', V) of one utterance's features (161, T)."""

    def __init__(self, cell: type[nn.RNNBase], size: int, layers: int, n_labels: int = 29) -> None:
        super().__init__()
        self.conv = Masked(
            nn.Sequential(
                nn.Conv2d(1, 32, (41, 11), (2, 2), (20, 5)),
                nn.BatchNorm2d(32),
                nn.Hardtanh(0, 20),
                nn.Conv2d(32, 32, (21, 11), (2, 1), (10, 5)),
                nn.BatchNorm2d(32),
                nn.Hardtanh(0, 20),
            )
        )
        widths = [32 * 41] + [size] * (layers - 1)
        self.rnns = nn.Sequential(
            *(Recurrence(cell, width, size, norm=place > 0) for place, width in enumerate(widths))
        )
        last = nn.Sequential(nn.BatchNorm1d(size), nn.Linear(size, n_labels, bias=False))
        self.fc = nn.Sequential(TimeFirst(last))

    def forward(self, features: Tensor) -> Tensor:
        x = self.conv.seq_module(features[None, None]).flatten(1, 2)[0].T
        return self.fc(self.rnns(x)).log_softmax(1)


def lived(network: nn.Module, seed: int = 3) -> nn.Module:
    """The network with statistics and weights that are not those of a fresh one, in eval mode."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2.0, generator=generator)
        elif name.endswith(("running_mean", "bias")):
            value.normal_(0.0, 0.3, generator=generator)
    return network.eval()
