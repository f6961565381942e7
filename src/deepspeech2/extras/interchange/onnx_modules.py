"""The modules that are exported: front end and network with tensors for arguments and results."""

from __future__ import annotations

import math
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.onnx.operators import shape_as_tensor

from deepspeech2.model.streaming_network import NetworkState, StreamingNetwork
from deepspeech2.pipeline import Pipeline
from deepspeech2.transforms import FrontEnd, Spectrogram
from deepspeech2.transforms.features import mirrored
from deepspeech2.types import Padded


class Spectra(nn.Module):
    """A spectrogram whose Fourier transform is a convolution."""

    kernels: Tensor

    def __init__(self, spectrogram: Spectrogram) -> None:
        super().__init__()
        self.spectrogram = spectrogram
        n_fft = spectrogram.n_fft
        bins, places = (torch.arange(n, dtype=torch.float64) for n in (n_fft // 2 + 1, n_fft))
        angles = 2 * math.pi * torch.outer(bins, places) / n_fft
        waves = torch.cat((angles.cos(), -angles.sin())) * spectrogram.window
        self.register_buffer("kernels", waves[:, None].float())

    def forward(self, waveforms: Padded) -> Padded:
        """(B, S) to (B, T, F), zero in the padding, as :class:`Spectrogram` does."""
        margin = self.spectrogram.n_fft // 2
        places = torch.arange(-margin, waveforms.data.shape[1] + margin)
        samples = waveforms.data.gather(1, mirrored(places, waveforms.lengths[:, None]))
        lengths = self.spectrogram.output_lengths(waveforms.lengths)
        return Padded(self.windows(samples), lengths).masked()

    def windows(self, samples: Tensor) -> Tensor:
        """(B, S) to (B, T, F): as many windows as fit, from the first."""
        spectrogram = self.spectrogram
        parts = nn.functional.conv1d(samples[:, None], self.kernels, stride=spectrogram.hop_length)
        real, imaginary = parts.square().transpose(1, 2).chunk(2, dim=2)
        return spectrogram.pooled(real + imaginary).add(spectrogram.log_offset).log()


class Batches(nn.Module):
    """Waveforms (B, S) and lengths (B,) to log-probabilities (B, T, V) and theirs."""

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__()
        spectra: Any = Spectra(pipeline.front_end.features)
        self.front_end = FrontEnd(spectra, pipeline.front_end.normalization)
        self.network = pipeline.network

    def forward(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        log_probs = self.network(self.front_end(Padded(waveforms, lengths)))
        return log_probs.data, log_probs.lengths


class Stream(nn.Module):
    """A piece of a recording and a state to log-probabilities (T, V) and the next state.

    The features are those of :class:`StreamingFrontEnd` for pieces that are long enough for a
    frame, the rest is :class:`StreamingNetwork` itself.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__()
        self.spectra = Spectra(pipeline.front_end.features)
        self.normalization = pipeline.front_end.normalization
        self.network = pipeline.network
        self._streaming = StreamingNetwork(pipeline.network)
        self._cell: Any = pipeline.network.layers[0].ahead

    def start(self) -> dict[str, Tensor]:
        """The state before the first sample, in the order in which :meth:`forward` takes it."""
        state = self._streaming.start(self.network.n_features)
        zeros = torch.zeros(1, 1, self._cell.hidden_size)
        kinds = ("hidden", "cell") if isinstance(self._cell, nn.LSTM) else ("hidden",)
        return {
            "held": torch.zeros(0),
            "skip": torch.zeros(1, dtype=torch.int64),
            **{f"convolution{place}": each for place, each in enumerate(state.convolutions)},
            **{f"{kind}{place}": zeros for place in range(len(state.hidden)) for kind in kinds},
            "ahead": state.ahead,
        }

    def forward(
        self, samples: Tensor, last: Tensor, held: Tensor, skip: Tensor, *others: Tensor
    ) -> tuple[Tensor, ...]:
        """
        Args:
            samples: (S,) float32.
            last: (1,) int64, 1 if nothing comes after these.
            held, skip: (S',) samples from which the next frames are made, and (1,) int64 how many
                of them come before the next frame; they are kept for the mirror behind the end.
            others: the rest of the state, see :meth:`start`.
        """
        is_last: Any = last[0]
        frames, held, skip = self._features(samples, is_last, held, skip[0])
        count = len(self.network.convolutions.blocks)
        convolutions, memory, ahead = others[:count], others[count:-1], others[-1]
        # of an LSTM the two states of each layer, which torch takes as a pair
        pairs = isinstance(self._cell, nn.LSTM)
        hidden = tuple(zip(memory[::2], memory[1::2], strict=True)) if pairs else memory
        state, log_probs = self._streaming.step(
            NetworkState(convolutions, hidden, ahead), frames, last=is_last
        )
        memory = tuple(chain(*state.hidden)) if pairs else state.hidden
        return log_probs, held, skip, *state.convolutions, *memory, state.ahead

    def _features(
        self, samples: Tensor, last: Tensor, held: Tensor, skip: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Features (T, F), and the next ``held`` and ``skip``."""
        spectrogram = self.spectra.spectrogram
        margin = spectrogram.n_fft // 2
        # both ends of a recording are continued by their mirror images
        waves = torch.cat((held, samples))
        begin = torch.where(_length(held) == 0, -margin, 0)
        places: Tensor = torch.arange(begin, _length(waves) + last * margin)  # type: ignore[call-overload]
        waves = waves[mirrored(places, _length(waves))]
        values = self.spectra.windows(waves[None, skip:])
        count = shape_as_tensor(values)[1]
        features = self.normalization(Padded(values, count[None])).data[0]
        # what the next window needs is kept, and what a mirror image would
        following = skip + count * spectrogram.hop_length
        dropped = torch.minimum(following, _length(waves) - margin - 1).clamp(min=0)
        return features, waves[dropped:], (following - dropped)[None]


def _length(x: Tensor) -> Tensor:
    """The size of the first axis as a number that the exporter follows."""
    return shape_as_tensor(x)[0]
