"""Read utterances as waveforms and labels, one by one or a padded batch at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from deepspeech2.audio.reading import FULL_SCALE, Pcm, read_pcm, read_utterance
from deepspeech2.audio.stored import adopt, registered
from deepspeech2.datasets.corpus_cache import open_cache
from deepspeech2.datasets.shards import Shards
from deepspeech2.errors import AudioError, ConfigError
from deepspeech2.settings.training import CacheKind
from deepspeech2.types import Batch, Failure, Padded, Sample, Utterance

CACHE_KINDS: tuple[CacheKind, ...] = get_args(CacheKind)

Samples = Pcm | NDArray[np.float32]
"""(S,), either 16-bit integers or float32 in [-1, 1]."""


class SpeechDataset(Dataset[Sample | Failure]):
    """Waveforms and labels of utterances.

    Args:
        encode: from a transcript to token indices.
        sample_rate: of the waveforms, in Hz.
        cache: what is kept of decoded audio, which takes 115 MB an hour at 16 kHz.
            "none": nothing, files are decoded each time.
            "memory": what was read once, as 16-bit integers, for small corpora without workers,
            since every worker keeps its own.
            "disk": all of it, decoded at once unless ``cache_dir`` has it already; see
            :func:`~deepspeech2.datasets.corpus_cache.open_cache`. Workers share it.
            Both caches return the same samples, to the bit.
        cache_dir: the folder of the cache on the disk.

    An item is a :class:`Failure` where the audio cannot be read, so that one bad file does not
    end a run; any other error is raised. An utterance without a transcript has no labels.

    Raises:
        ConfigError: ``sample_rate`` is not positive, or ``cache`` is none of these.
        ManifestError: the cache cannot be written.
    """

    def __init__(
        self,
        utterances: Sequence[Utterance],
        encode: Callable[[str], Sequence[int]],
        *,
        sample_rate: int = 16000,
        cache: CacheKind = "none",
        cache_dir: Path | None = None,
    ) -> None:
        if sample_rate < 1:
            raise ConfigError(f"sample_rate must be positive, but is {sample_rate}")
        if cache not in CACHE_KINDS:
            raise ConfigError(f"cache must be one of {', '.join(CACHE_KINDS)}, but is {cache!r}")
        self.utterances = utterances
        self.encode = encode
        self.sample_rate = sample_rate
        self.cache = cache
        self._memory: dict[int, Pcm] = {}
        self._shards: Shards | None = None
        if cache == "disk":
            if cache_dir is None:
                raise ConfigError("cache_dir must name a folder where cache is 'disk', but is None")
            self._shards = open_cache(utterances, cache_dir, sample_rate=sample_rate)

    def __getstate__(self) -> dict[str, Any]:
        # a process that is not forked does not know the data sets that items are read from
        sources = registered(utterance.audio for utterance in self.utterances)
        return {**self.__dict__, "_sources": sources}

    def __setstate__(self, state: dict[str, Any]) -> None:
        adopt(state.pop("_sources"))
        self.__dict__.update(state)

    def __len__(self) -> int:
        return len(self.utterances)

    def __getitem__(self, index: int) -> Sample | Failure:
        samples = self._samples(index)
        if isinstance(samples, Failure):
            return samples
        utterance = self.utterances[index]
        waveform = torch.empty(len(samples))
        fill(waveform.numpy(), samples)
        return Sample(utterance, waveform, self._labels(utterance))

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Read the items ``indices`` into the batch that :func:`collate` would make of them.

        PyTorch's workers call this. Samples are written directly to their place in the batch.
        """
        rows: list[Samples] = []
        readable: list[Utterance] = []
        failures: list[Failure] = []
        for index in indices:
            samples = self._samples(index)
            if isinstance(samples, Failure):
                failures.append(samples)
            else:
                rows.append(samples)
                readable.append(self.utterances[index])
        return Batch(
            waveforms=pad_waveforms(rows),
            labels=pad_labels([self._labels(utterance) for utterance in readable]),
            utterances=tuple(readable),
            failures=tuple(failures),
        )

    def _samples(self, index: int) -> Samples | Failure:
        """Read an utterance; the samples must not be written to."""
        utterance = self.utterances[index]
        try:
            if self._shards is not None:
                return self._shards[index]
            if self.cache == "none":
                samples: Samples = read_utterance(utterance, self.sample_rate).numpy()
                return samples
            if index not in self._memory:
                self._memory[index] = read_pcm(utterance, self.sample_rate)
            return self._memory[index]
        except AudioError as error:
            return Failure(utterance, str(error), error.seconds)

    def _labels(self, utterance: Utterance) -> Tensor:
        """Encode the transcript as (L,) int64."""
        labels = [] if utterance.text is None else list(self.encode(utterance.text))
        return torch.tensor(labels, dtype=torch.int64)


def collate(items: Sequence[Sample | Failure]) -> Batch:
    """Pad the samples with zeros to (B, S) and (B, L), and list the failures.

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
    """Pad samples of either kind with zeros to float32 waveforms (B, S).

    A worker of a DataLoader writes them to memory that the main process reads without a copy.
    """
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64)
    data = _empty(len(rows), max(map(len, rows), default=0))
    for target, samples in zip(data.numpy(), rows, strict=True):
        fill(target, samples)
    return Padded(data, lengths)


def fill(row: NDArray[np.float32], samples: Samples) -> None:
    """Write ``samples`` (S,) as float32 in [-1, 1] to the start of ``row``, then zeros."""
    filled = row[: len(samples)]
    filled[:] = samples
    if samples.dtype == np.int16:
        filled *= np.float32(1 / FULL_SCALE)  # a power of two: exact
    row[len(samples) :] = 0


def pad_labels(rows: Sequence[Tensor]) -> Padded:
    """Pad labels (L_i,) with zeros to (B, L) int64."""
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
