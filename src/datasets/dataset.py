"""Utterances read from disk, one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset

from src.audio.reading import read_audio
from src.errors import AudioError, ConfigError
from src.types import Failure, Sample, Utterance

_FULL_SCALE = 32768  # of 16-bit audio


class SpeechDataset(Dataset[Sample | Failure]):
    """Waveforms and labels of utterances.

    Args:
        utterances: what to read.
        encode: from a transcript to token indices.
        sample_rate: of the waveforms delivered, in Hz.
        cache: keep all audio in memory as 16-bit integers once it is read (115 MB an hour at
            16 kHz). Sensible for small corpora without workers: every worker keeps its own.
            What is delivered does not depend on whether it was read before.

    An item is a :class:`Failure` where the audio cannot be read, so that one bad file does not
    end a run; anything else that goes wrong is raised. An utterance without a transcript has no
    labels.

    Raises:
        ConfigError: ``sample_rate`` is not positive.
    """

    def __init__(
        self,
        utterances: Sequence[Utterance],
        encode: Callable[[str], Sequence[int]],
        *,
        sample_rate: int = 16000,
        cache: bool = False,
    ) -> None:
        if sample_rate < 1:
            raise ConfigError(f"sample_rate must be positive, but is {sample_rate}")
        self.utterances = utterances
        self.encode = encode
        self.sample_rate = sample_rate
        self._cache: dict[int, Tensor] | None = {} if cache else None

    def __len__(self) -> int:
        return len(self.utterances)

    def __getitem__(self, index: int) -> Sample | Failure:
        utterance = self.utterances[index]
        try:
            waveform = self._waveform(index)
        except AudioError as error:
            return Failure(utterance, str(error))
        labels = [] if utterance.text is None else list(self.encode(utterance.text))
        return Sample(utterance, waveform, torch.tensor(labels, dtype=torch.int64))

    def _waveform(self, index: int) -> Tensor:
        """(S,) float32."""
        if self._cache is None:
            return self._read(index)
        if index not in self._cache:
            scaled = (self._read(index) * _FULL_SCALE).round()
            self._cache[index] = scaled.clamp(-_FULL_SCALE, _FULL_SCALE - 1).to(torch.int16)
        return self._cache[index].to(torch.float32) / _FULL_SCALE

    def _read(self, index: int) -> Tensor:
        utterance = self.utterances[index]
        return read_audio(
            utterance.audio,
            sample_rate=self.sample_rate,
            offset=utterance.offset,
            duration=utterance.duration,
        )
