"""Frozen values that pass between rooms.

Axis letters, everywhere: ``B`` batch, ``S`` samples, ``T`` frames, ``F`` features,
``V`` tokens, ``L`` labels, ``K`` beams.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Padded:
    """Sequences of unequal length in one tensor, with their lengths.

    Attributes:
        data: (B, T, ...), padded at the end of the second axis.
        lengths: (B,) int64, each at most T, on the device of ``data``.
    """

    data: Tensor
    lengths: Tensor

    def __post_init__(self) -> None:
        if self.data.ndim < 2 or self.lengths.shape != self.data.shape[:1]:
            raise ValueError(
                f"data {tuple(self.data.shape)} and lengths {tuple(self.lengths.shape)} do not fit"
            )

    @classmethod
    def stack(cls, items: Sequence[Tensor]) -> Padded:
        """Pad (T_i, ...) tensors with zeros to the longest of them."""
        lengths = torch.tensor([len(item) for item in items], dtype=torch.int64)
        return cls(torch.nn.utils.rnn.pad_sequence(list(items), batch_first=True), lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    def mask(self) -> Tensor:
        """(B, T) bool: true where there is data, false in the padding."""
        return torch.arange(self.data.shape[1], device=self.data.device) < self.lengths[:, None]

    def masked(self, value: float = 0.0) -> Padded:
        """The same with ``value`` in the padding."""
        mask = self.mask().view(*self.data.shape[:2], *(1,) * (self.data.ndim - 2))
        return replace(self, data=self.data.masked_fill(~mask, value))

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Padded:
        return Padded(
            self.data.to(device, non_blocking=non_blocking),
            self.lengths.to(device, non_blocking=non_blocking),
        )

    def chunk(self, n_parts: int) -> list[Padded]:
        """Split the batch into ``n_parts`` of equally many utterances."""
        parts = zip(self.data.chunk(n_parts), self.lengths.chunk(n_parts), strict=True)
        return [Padded(data, lengths) for data, lengths in parts]

    def pin_memory(self) -> Padded:
        return Padded(self.data.pin_memory(), self.lengths.pin_memory())

    def unpad(self) -> list[Tensor]:
        """The (T_i, ...) tensors without their padding."""
        pairs = zip(self.data, self.lengths.tolist(), strict=True)
        return [row[:length] for row, length in pairs]


@dataclass(frozen=True, slots=True)
class Tapped(Padded):
    """Log-probabilities (B, T, V), and in training those of layers below the last.

    Attributes:
        taps: (B, T, V) each, as many frames as ``data``.
        phones: (B, T, P) of phones; None if the network does not hear them.
    """

    taps: tuple[Tensor, ...] = ()
    phones: Tensor | None = None

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Tapped:
        moved = [each.to(device, non_blocking=non_blocking) for each in self.tensors]
        return self._of(*moved)

    def chunk(self, n_parts: int) -> list[Padded]:
        parts = zip(*(each.chunk(n_parts) for each in self.tensors), strict=True)
        return [self._of(*part) for part in parts]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All of them: lengths, data, taps and phones."""
        phones = () if self.phones is None else (self.phones,)
        return (self.lengths, self.data, *self.taps, *phones)

    def _of(self, lengths: Tensor, data: Tensor, *others: Tensor) -> Tapped:
        phones = None if self.phones is None else others[-1]
        return Tapped(data, lengths, others[: len(self.taps)], phones)


@dataclass(frozen=True, slots=True)
class Utterance:
    """One stretch of speech: where it is and what is said.

    Attributes:
        id: unique within its corpus, and a plain file name.
        audio: the file that contains it.
        duration: seconds.
        text: the transcript as the corpus writes it; None if there is none.
        offset: seconds from the start of the file.
        speaker: None if unknown.
        channel: the one that is heard, counted from 1; None: all of them together.
        weight: of its transcript in training; 0 learns nothing from it.
    """

    id: str
    audio: Path
    duration: float
    text: str | None = None
    offset: float = 0.0
    speaker: str | None = None
    channel: int | None = None
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Sample:
    """An utterance, read: ``waveform`` (S,) float32 in [-1, 1], ``labels`` (L,) int64."""

    utterance: Utterance
    waveform: Tensor
    labels: Tensor


@dataclass(frozen=True, slots=True)
class Failure:
    """An utterance whose audio could not be read, and why.

    Attributes:
        seconds: how much of it can be read all the same, from its start on.
    """

    utterance: Utterance
    reason: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Batch:
    """What a loader delivers: waveforms (B, S), labels (B, L) and what failed to load.

    ``waveforms``, ``labels`` and ``utterances`` have the same B, which is 0 when every
    utterance of the batch failed.
    """

    waveforms: Padded
    labels: Padded
    utterances: tuple[Utterance, ...]
    failures: tuple[Failure, ...] = ()

    def __len__(self) -> int:
        return len(self.utterances)

    @property
    def duration(self) -> float:
        """Seconds of audio, padding not counted."""
        return sum(utterance.duration for utterance in self.utterances)

    @property
    def weights(self) -> Tensor | None:
        """(B,) float32 on the CPU, of the transcripts; None if each is 1."""
        own = [utterance.weight for utterance in self.utterances]
        return None if own == [1.0] * len(own) else torch.tensor(own)

    @property
    def padded_duration(self) -> float:
        """Seconds of audio and padding."""
        longest = max((utterance.duration for utterance in self.utterances), default=0.0)
        return longest * len(self.utterances)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Batch:
        return replace(
            self,
            waveforms=self.waveforms.to(device, non_blocking=non_blocking),
            labels=self.labels.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> Batch:
        return replace(self, waveforms=self.waveforms.pin_memory(), labels=self.labels.pin_memory())


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What a decoder believes was said.

    Attributes:
        text: the transcript.
        score: log-probability, natural logarithm, as the decoder counts it.
        labels: token indices without blanks and repeats.
        frames: for each label the output frame in which it was emitted.
        confidences: for each label a number between 0 and 1.
    """

    text: str
    score: float
    labels: tuple[int, ...] = ()
    frames: tuple[int, ...] = ()
    confidences: tuple[float, ...] = ()
