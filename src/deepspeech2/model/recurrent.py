"""Recurrent layers that never read the padding."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from deepspeech2.errors import ConfigError
from deepspeech2.model.batch_norm import MaskedBatchNorm
from deepspeech2.model.gru_cpu import suits, sweep
from deepspeech2.types import Padded

CELLS: dict[str, type[nn.GRU | nn.LSTM | nn.RNN]] = {
    "gru": nn.GRU,
    "lstm": nn.LSTM,
    "rnn": nn.RNN,
}


def reversal(lengths: Tensor, n_frames: int) -> Tensor:
    """Indices (B, T) that reverse each utterance and leave its padding where it is.

    >>> reversal(torch.tensor([3, 2]), 3)
    tensor([[2, 1, 0],
            [1, 0, 2]])
    """
    frames = torch.arange(n_frames, device=lengths.device)
    return torch.where(frames < lengths[:, None], lengths[:, None] - 1 - frames, frames)


class RecurrentLayer(nn.Module):
    """Masked batch normalisation, a recurrence in one or both directions, dropout.

    The backward direction runs over each utterance reversed within its own length, so it
    starts at the last frame, not in the padding; packed sequences give the same result and
    take nearly twice the time on a CPU. Dropout stands outside the recurrence because cuDNN
    keeps a dropout state of its own, which no checkpoint holds.

    Args:
        merge: ``sum`` adds the two directions, ``concat`` puts them side by side.
    """

    def __init__(
        self,
        n_inputs: int,
        size: int,
        *,
        cell: str,
        bidirectional: bool,
        merge: str,
        dropout: float,
    ) -> None:
        super().__init__()
        if cell not in CELLS:
            raise ConfigError(f"rnn_type must be one of {', '.join(CELLS)}, but is {cell!r}")
        if merge not in ("sum", "concat"):
            raise ConfigError(f"merge must be sum or concat, but is {merge!r}")
        self.norm = MaskedBatchNorm(n_inputs)
        self.ahead = CELLS[cell](n_inputs, size, batch_first=True)
        self.back = CELLS[cell](n_inputs, size, batch_first=True) if bidirectional else None
        self.merge = merge
        self.dropout = nn.Dropout(dropout)
        self.n_outputs = size * (2 if bidirectional and merge == "concat" else 1)

    def forward(self, x: Padded, mask: Tensor, reverse: Tensor) -> Padded:
        """Map (B, T, I) to (B, T, ``n_outputs``).

        Args:
            mask: (B, T, 1) float, 1 where there is data.
            reverse: (B, T, 1) int64 from :func:`reversal`.
        """
        data = self.norm(x.data, mask, channel_dim=2)
        cells = [self.ahead] if self.back is None else [self.ahead, self.back]
        if suits(cells, data):
            outs = sweep(cells, data, x.lengths)
        else:
            outs = [self.ahead(data)[0]]
            if self.back is not None:
                flipped, _ = self.back(data.gather(1, reverse.expand_as(data)))
                outs.append(flipped.gather(1, reverse.expand_as(flipped)))
        if len(outs) == 1:
            out = outs[0]
        else:
            out = outs[0] + outs[1] if self.merge == "sum" else torch.cat(outs, dim=2)
        return Padded(self.dropout(out) * mask.to(out.dtype), x.lengths)
