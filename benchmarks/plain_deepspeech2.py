"""DeepSpeech 2 as one writes it from torch's own parts, to measure ours against.

No masks: convolutions and batch statistics see the padding, from which packing keeps the
recurrent layers alone. On utterances of equal length it is the same function as ours.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from deepspeech2.engine import Engine
from deepspeech2.model import DeepSpeech2
from deepspeech2.model.layers import ConvolutionBlock, RecurrentLayer
from deepspeech2.transforms import FrontEnd, LogMelSpectrogram
from deepspeech2.types import Batch


def bidirectional_gru(like: RecurrentLayer) -> nn.GRU:
    """One bidirectional GRU with the weights of the two of ``like``."""
    ahead, back = like.ahead, like.back
    assert isinstance(ahead, nn.GRU)
    assert isinstance(back, nn.GRU)
    gru = nn.GRU(ahead.input_size, ahead.hidden_size, batch_first=True, bidirectional=True)
    backward = {f"{name}_reverse": value for name, value in back.state_dict().items()}
    gru.load_state_dict(ahead.state_dict() | backward)
    return gru


def run_packed(gru: nn.GRU, x: Tensor, lengths: Tensor) -> Tensor:
    """Map (B, T, I) with ``lengths`` (B,) on the CPU to (B, T, O), the directions summed."""
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    out, _ = pad_packed_sequence(gru(packed)[0], batch_first=True, total_length=x.shape[1])
    return out.unflatten(2, (2, -1)).sum(2)


class PlainRecurrentLayer(nn.Module):
    """nn.BatchNorm1d, a packed bidirectional nn.GRU, dropout."""

    def __init__(self, like: RecurrentLayer) -> None:
        super().__init__()
        self.norm = _norm(nn.BatchNorm1d, like.norm)
        self.gru = bidirectional_gru(like)
        self.dropout = nn.Dropout(like.dropout.p)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Map (B, T, I) to (B, T, O)."""
        x = self.norm(x.transpose(1, 2)).transpose(1, 2)
        out: Tensor = self.dropout(run_packed(self.gru, x, lengths))
        return out


class PlainDeepSpeech2(nn.Module):
    """nn.Conv2d and nn.BatchNorm2d, then nn.BatchNorm1d and packed nn.GRU.

    Args:
        ours: whose sizes are taken and whose weights are copied; its directions are summed.
    """

    def __init__(self, ours: DeepSpeech2) -> None:
        super().__init__()
        convolutions: list[nn.Module] = []
        for block in ours.convolutions.blocks:
            assert isinstance(block, ConvolutionBlock)
            convolutions += [_convolution(block.convolution), _norm(nn.BatchNorm2d, block.norm)]
            convolutions.append(block.activation)
        self.convolutions = nn.Sequential(*convolutions)
        layers = [layer for layer in ours.layers if isinstance(layer, RecurrentLayer)]
        assert all(layer.merge == "sum" for layer in layers)
        self.layers = nn.ModuleList([PlainRecurrentLayer(layer) for layer in layers])
        self.norm = _norm(nn.BatchNorm1d, ours.norm)
        self.output = nn.Linear(ours.output.in_features, ours.output.out_features)
        self.output.load_state_dict(ours.output.state_dict())

    def forward(self, features: Tensor, frames: Tensor) -> Tensor:
        """Features (B, T, F) to log-probabilities (B, T', V).

        Args:
            frames: (B,) frames that come out for each utterance, on the CPU.
        """
        x = self.convolutions(features.transpose(1, 2).unsqueeze(1))
        x = x.permute(0, 3, 1, 2).flatten(2)
        for layer in self.layers:
            x = layer(x, frames)
        logits = self.output(self.norm(x.transpose(1, 2)).transpose(1, 2))
        log_probs: Tensor = logits.float().log_softmax(2)
        return log_probs


def plain_loss(log_probs: Tensor, frames: Tensor, labels: Tensor, label_lengths: Tensor) -> Tensor:
    """CTC in nats per label of log-probabilities (B, T, V); both lengths (B,) on the CPU."""
    total = functional.ctc_loss(
        log_probs.transpose(0, 1),
        labels,
        frames,
        label_lengths,
        reduction="sum",
        zero_infinity=True,
    )
    return total / label_lengths.sum()


def plain_features(log_mel: LogMelSpectrogram, waveforms: Tensor) -> Tensor:
    """(B, S) to (B, T, F): torch.stft, mel, log, each utterance normalised, padding and all."""
    window, hop = log_mel.window, log_mel.hop_length
    spectrum = torch.stft(waveforms, log_mel.n_fft, hop, window=window, return_complex=True)
    power = spectrum.abs().square().transpose(1, 2)
    values = (power @ log_mel.bank + log_mel.log_offset).log()
    deviation, mean = torch.std_mean(values, dim=1, keepdim=True)
    return (values - mean) / (deviation + 1e-5)


class Plain:
    """Trains the plain network: forward, CTC, backward, AdamW; no clipping, no schedule.

    Args:
        ours: whose sizes and weights it begins with.
        given: features are computed once, before anybody looks at the clock.
    """

    def __init__(
        self,
        ours: DeepSpeech2,
        front_end: FrontEnd,
        engine: Engine,
        batches: Sequence[Batch],
        *,
        given: bool,
    ) -> None:
        assert isinstance(front_end.features, LogMelSpectrogram)
        self.device, self.mixed = engine.device, engine.precision == "bf16-mixed"
        self.network = PlainDeepSpeech2(ours).to(self.device).train()
        # a fused one, as ours: torch's default is slower
        self.optimizer = torch.optim.AdamW(self.network.parameters(), 1e-4, fused=True)
        self.log_mel = front_end.features
        cuda = self.device.type == "cuda"
        self.batches = [batch.pin_memory() if cuda else batch for batch in batches]
        lengths = [front_end.output_lengths(batch.waveforms.lengths) for batch in batches]
        self.frames = [ours.output_lengths(each) for each in lengths]
        self.features = [self._features(batch) if given else None for batch in self.batches]

    def __call__(self) -> None:
        """A step on each batch."""
        for batch, frames, features in zip(self.batches, self.frames, self.features, strict=True):
            self.step(batch, frames, self._features(batch) if features is None else features)

    def step(self, batch: Batch, frames: Tensor, features: Tensor) -> None:
        """Learn from a batch whose features (B, T, F) lie on the device."""
        labels = batch.labels.data.to(self.device, non_blocking=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
            log_probs = self.network(features, frames)
        self.optimizer.zero_grad()
        plain_loss(log_probs, frames, labels, batch.labels.lengths).backward()
        self.optimizer.step()

    @torch.no_grad()
    def _features(self, batch: Batch) -> Tensor:
        waveforms = batch.waveforms.data.to(self.device, non_blocking=True)
        return plain_features(self.log_mel, waveforms)


def parameters_in(network: nn.Module) -> int:
    """Numbers that are learnt."""
    return sum(parameter.numel() for parameter in network.parameters())


def _convolution(ours: nn.Conv2d) -> nn.Conv2d:
    made = nn.Conv2d(
        ours.in_channels,
        ours.out_channels,
        (ours.kernel_size[0], ours.kernel_size[1]),
        (ours.stride[0], ours.stride[1]),
        (ours.kernel_size[0] // 2, ours.kernel_size[1] // 2),
        bias=False,
    )
    made.load_state_dict(ours.state_dict())
    return made


def _norm(kind: type[nn.BatchNorm1d | nn.BatchNorm2d], ours: nn.Module) -> nn.Module:
    state = ours.state_dict()
    made = kind(len(state["weight"]))
    made.load_state_dict(state, strict=False)  # torch's counts its batches as well
    return made
