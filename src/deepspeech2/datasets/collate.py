"""From samples to one padded batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from deepspeech2.datasets.audio_store import Samples, fill
from deepspeech2.types import Batch, Failure, Padded, Sample


def collate(items: Sequence[Sample | Failure]) -> Batch:
    """Pad the samples with zeros to (B, S) and (B, L) and set the failures aside.

    B is the number of samples, which is 0 when every item is a failure.
    """
    samples = [item for item in items if isinstance(item, Sample)]
    return Batch(
        waveforms=pad_waveforms([sample.waveform.numpy() for sample in samples]),
        labels=pad_labels([sample.labels for sample in samples]),
        utterances=tuple(sample.utterance for sample in samples),
        failures=tuple(item for item in items if isinstance(item, Failure)),
    )


def pad_waveforms(rows: Sequence[Samples]) -> Padded:
    """Float32 waveforms (B, S), padded with zeros, from samples of either kind.

    A worker of a DataLoader writes them where the main process reads them; otherwise they would
    be copied on their way.
    """
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64)
    data = _empty(len(rows), max(map(len, rows), default=0))
    for target, samples in zip(data.numpy(), rows, strict=True):
        fill(target, samples)
    return Padded(data, lengths)


def pad_labels(rows: Sequence[Tensor]) -> Padded:
    """Labels (B, L) int64, padded with zeros, from (L_i,)."""
    if rows:
        return Padded.stack(rows)
    return Padded(torch.zeros(0, 0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64))


def _empty(n_rows: int, n_columns: int) -> Tensor:
    """Float32 (n_rows, n_columns), not initialised."""
    if get_worker_info() is None or not n_rows * n_columns:
        # NumPy asks for huge pages, with which a large batch is made three times as fast.
        return torch.from_numpy(np.empty((n_rows, n_columns), np.float32))
    # https://github.com/pytorch/pytorch/blob/v2.11.0/torch/utils/data/_utils/collate.py#L273
    n_bytes = n_rows * n_columns * torch.float32.itemsize
    storage: torch.UntypedStorage = torch.UntypedStorage._new_shared(n_bytes)  # type: ignore[no-untyped-call]
    return torch.empty(0).set_(storage).view(n_rows, n_columns)
