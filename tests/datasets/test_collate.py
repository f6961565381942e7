"""A batch contains each sample as it was, zeros around it, and failures apart."""

from __future__ import annotations

from pathlib import Path

import torch

from deepspeech2.datasets.dataset import collate
from deepspeech2.types import Failure, Sample, Utterance


def utterance(name: str) -> Utterance:
    return Utterance(name, Path(f"{name}.flac"), 1.0)


def sample(name: str, n_samples: int, n_labels: int) -> Sample:
    waveform = torch.rand(n_samples, generator=torch.Generator().manual_seed(n_samples)) + 0.1
    return Sample(utterance(name), waveform, torch.arange(1, n_labels + 1))


def test_samples_are_padded_with_zeros() -> None:
    samples = [sample("a", 5, 3), sample("b", 9, 0), sample("c", 1, 7)]
    batch = collate(samples)
    assert [item.id for item in batch.utterances] == ["a", "b", "c"]
    assert batch.waveforms.data.shape == (3, 9)
    assert batch.labels.data.shape == (3, 7)
    assert batch.labels.data.dtype == torch.int64
    unpadded = zip(samples, batch.waveforms.unpad(), batch.labels.unpad(), strict=True)
    for item, waveform, labels in unpadded:
        assert torch.equal(waveform, item.waveform)
        assert torch.equal(labels, item.labels)
    for padded in (batch.waveforms, batch.labels):
        assert padded.data[~padded.mask()].count_nonzero() == 0


def test_failures_stand_apart() -> None:
    failure = Failure(utterance("broken"), "broken.flac is cut off")
    batch = collate([sample("a", 5, 3), failure, sample("b", 4, 2)])
    assert [item.id for item in batch.utterances] == ["a", "b"]
    assert batch.failures == (failure,)
    assert len(batch) == len(batch.waveforms) == len(batch.labels) == 2


def test_nothing_but_failures_is_an_empty_batch() -> None:
    failures = [Failure(utterance(name), "gone") for name in "ab"]
    batch = collate(failures)
    assert len(batch) == len(batch.waveforms) == len(batch.labels) == 0
    assert batch.waveforms.data.dtype == torch.float32
    assert batch.failures == tuple(failures)
    assert batch.duration == 0
