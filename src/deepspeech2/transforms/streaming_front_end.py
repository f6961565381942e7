"""Features of a stream: samples come in pieces, and a state carries what later frames need."""

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
    """The past of a stream, as far as the next frames need it.

    Attributes:
        buffer: (S,) samples from which the next frames are computed.
        skip: samples of ``buffer`` before the next frame, kept for the mirror image at the end.
        begun: whether ``buffer`` began with the mirror image of the first samples.
    """

    buffer: Tensor
    skip: int = 0
    begun: bool = False


class StreamingFrontEnd:
    """Runs a front end piece by piece; the frames are those of the whole utterance at once.

    Attributes:
        latency: samples after the middle of a frame on which the frame depends.

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
        """Return the state before the first sample."""
        return FeatureState(torch.zeros(0, device=self._spectrogram.window.device))

    @torch.no_grad()
    def step(
        self, state: FeatureState, samples: Tensor, *, last: bool = False
    ) -> tuple[FeatureState, Tensor]:
        """Process the next samples (S,), any number of them; ``last``: the stream ends here.

        Returns:
            The next state, and the frames (T, F) that are now final.
        """
        buffer = torch.cat((state.buffer, samples.to(state.buffer.device, torch.float32)))
        margin, begun = self._margin, state.begun
        if not begun and len(buffer) <= margin:  # too short to mirror
            if last and len(buffer):
                return self.start(), self.front_end(Padded.stack([buffer])).data[0]
            return FeatureState(buffer), self._no_frames(buffer)
        if not begun:
            buffer = torch.cat((buffer[1 : margin + 1].flip(0), buffer))
        if last:
            buffer = torch.cat((buffer, buffer[-margin - 1 : -1].flip(0)))
        return self._complete_frames(buffer, state.skip)

    def _complete_frames(self, buffer: Tensor, skip: int) -> tuple[FeatureState, Tensor]:
        n_fft, hop = self._spectrogram.n_fft, self._spectrogram.hop_length
        count = max(0, (len(buffer) - skip - n_fft) // hop + 1)
        frames = self._no_frames(buffer)
        if count:
            values = self._spectrogram.spectra(buffer[None, skip:])
            frames = self.front_end.normalization(
                Padded(values, torch.tensor([count], device=buffer.device))
            ).data[0]
        following = skip + count * hop
        dropped = max(0, min(following, len(buffer) - self._margin - 1))
        return FeatureState(buffer[dropped:], following - dropped, True), frames

    def _no_frames(self, buffer: Tensor) -> Tensor:
        return buffer.new_zeros(0, self.front_end.n_features)
