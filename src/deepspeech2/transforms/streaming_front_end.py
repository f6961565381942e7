"""Features of a stream: samples come in pieces, and what later frames need is handed on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from deepspeech2.errors import ConfigError
from deepspeech2.transforms.feature_normalization import GlobalNormalization, NoNormalization
from deepspeech2.transforms.front_end import FrontEnd
from deepspeech2.types import Padded


@dataclass(frozen=True, slots=True)
class FeatureState:
    """What a stream needs from its past.

    Attributes:
        held: (S,) samples from which the next frames are made, at first without what is mirrored
            before the beginning.
        skip: how many of ``held`` lie before the next frame; they are kept for the end's mirror.
        begun: whether the mirror before the beginning is in place.
    """

    held: Tensor
    skip: int = 0
    begun: bool = False


class StreamingFrontEnd:
    """Runs a front end piece by piece; the frames are those of the whole utterance at once.

    Attributes:
        latency: samples after the middle of a frame that it depends on.

    Raises:
        ConfigError: the normalisation needs the whole utterance.
    """

    def __init__(self, front_end: FrontEnd) -> None:
        normalization = front_end.normalization
        if not isinstance(normalization, GlobalNormalization | NoNormalization):
            raise ConfigError(
                f"the model normalises its features with {type(normalization).__name__}, which"
                " waits for the end of an utterance, and cannot stream: train one with"
                " -cn=deepspeech2_streaming"
            )
        self.front_end = front_end
        self._spectrogram = front_end.features
        self._margin = front_end.features.n_fft // 2
        self.latency = front_end.features.n_fft - self._margin

    def start(self) -> FeatureState:
        """The state before the first sample."""
        return FeatureState(torch.zeros(0, device=self._spectrogram.window.device))

    @torch.no_grad()
    def step(
        self, state: FeatureState, samples: Tensor, *, last: bool = False
    ) -> tuple[FeatureState, Tensor]:
        """Hear more.

        Args:
            samples: (S,) any number of them, none too.
            last: nothing comes after these.

        Returns:
            The next state, and the (T, F) frames that have become certain.
        """
        held = torch.cat((state.held, samples.to(state.held.device, torch.float32)))
        margin, begun = self._margin, state.begun
        if not begun and len(held) <= margin:  # too short to be mirrored yet
            if last and len(held):
                return self.start(), self.front_end(Padded.stack([held])).data[0]
            return FeatureState(held), self._no_frames(held)
        if not begun:
            held = torch.cat((held[1 : margin + 1].flip(0), held))
        if last:
            held = torch.cat((held, held[-margin - 1 : -1].flip(0)))
        return self._framed(held, state.skip)

    def _framed(self, held: Tensor, skip: int) -> tuple[FeatureState, Tensor]:
        n_fft, hop = self._spectrogram.n_fft, self._spectrogram.hop_length
        count = max(0, (len(held) - skip - n_fft) // hop + 1)
        frames = self._no_frames(held)
        if count:
            values = self._spectrogram.spectra(held[None, skip:])
            frames = self.front_end.normalization(
                Padded(values, torch.tensor([count], device=held.device))
            ).data[0]
        following = skip + count * hop
        dropped = max(0, min(following, len(held) - self._margin - 1))
        return FeatureState(held[dropped:], following - dropped, True), frames

    def _no_frames(self, held: Tensor) -> Tensor:
        return held.new_zeros(0, self.front_end.n_features)
