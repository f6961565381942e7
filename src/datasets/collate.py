"""From samples to one padded batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from src.types import Batch, Failure, Padded, Sample


def collate(items: Sequence[Sample | Failure]) -> Batch:
    """Pad the samples with zeros to (B, S) and (B, L) and set the failures aside.

    B is the number of samples, which is 0 when every item is a failure.
    """
    samples = [item for item in items if isinstance(item, Sample)]
    return Batch(
        waveforms=_stack([sample.waveform for sample in samples], torch.float32),
        labels=_stack([sample.labels for sample in samples], torch.int64),
        utterances=tuple(sample.utterance for sample in samples),
        failures=tuple(item for item in items if isinstance(item, Failure)),
    )


def _stack(rows: list[torch.Tensor], dtype: torch.dtype) -> Padded:
    if rows:
        return Padded.stack(rows)
    return Padded(torch.zeros(0, 0, dtype=dtype), torch.zeros(0, dtype=torch.int64))
