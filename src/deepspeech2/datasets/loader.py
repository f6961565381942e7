"""Load batches in an order that depends only on a seed, an epoch and a number."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from torch.utils.data import DataLoader

from deepspeech2.datasets.bucketing import BucketBatchSampler, padding_share
from deepspeech2.datasets.dataset import SpeechDataset
from deepspeech2.datasets.mixed import EpochDraw
from deepspeech2.datasets.readers import Readers, start_reader
from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.types import Batch, Failure, Sample


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A batch's place in an endless stream: its epoch, and its number within it, from 0."""

    epoch: int
    batch: int


class SpeechLoader:
    """Batches of a dataset, bucketed by duration.

    There is no state: the batches are a function of the arguments and of the position at which a
    stream starts. Neither the plan nor the workers use the global generators.

    Args:
        max_batch_duration: seconds of audio in a batch, padding counted.
        max_batch_size: utterances in a batch; None for no limit.
        num_workers: processes that read ahead; 0 reads in this one.
        shuffle: for training; without it the longest utterances come first.
        seed: of the order.
        rank, world_size: the share of the batches that this process gets; see
            :class:`~deepspeech2.datasets.bucketing.BucketBatchSampler`.
        pin_memory: page-locked batches, for transfers to a GPU; without a GPU it has no effect.
        sorted_epochs: how many epochs begin with the shortest batches.
        draw: of the utterances of each epoch; None: each once.

    Raises:
        ConfigError: a number is out of range.
        ManifestError: the dataset is empty, or a duration is negative or not finite.
    """

    def __init__(
        self,
        dataset: SpeechDataset,
        *,
        max_batch_duration: float,
        max_batch_size: int | None = None,
        num_workers: int = 0,
        shuffle: bool = True,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        pin_memory: bool = False,
        sorted_epochs: int = 0,
        draw: EpochDraw | None = None,
    ) -> None:
        if num_workers < 0:
            raise ConfigError(f"num_workers must not be negative, but is {num_workers}")
        if not len(dataset):
            raise ManifestError("a loader needs at least one utterance, but its dataset is empty")
        self.dataset = dataset
        self.num_workers = num_workers
        self.pin_memory = pin_memory and torch.cuda.is_available()
        self.draw = draw
        self.sampler = BucketBatchSampler(
            [utterance.duration for utterance in dataset.utterances],
            max_batch_duration=max_batch_duration,
            max_batch_size=max_batch_size,
            shuffle=shuffle,
            seed=seed,
            rank=rank,
            world_size=world_size,
            sorted_epochs=sorted_epochs,
            draw=draw,
        )
        self._counts: dict[int, int] = {}  # epoch -> batches, since counting all takes seconds

    def stream(
        self, start: Position = Position(0, 0)
    ) -> Generator[tuple[Position, Batch], None, None]:
        """Yield batches without end, epoch after epoch, each with its position.

        From ``start`` on they are those of an uninterrupted stream; a ``start`` past the end of
        its epoch means the next epoch. Workers read ahead over the ends of epochs and stop when
        the generator is closed, which is up to the caller.

        Raises:
            ConfigError: ``start`` is negative, or there are fewer utterances than ranks.
            ReaderError: while it is read, if a worker cannot be started or has ended.
        """
        if start.epoch < 0 or start.batch < 0:
            raise ConfigError(f"a position must not be negative, but is {start}")
        self.check_ranks(start.epoch)
        return self._stream(start)

    def check_ranks(self, epoch: int = 0) -> None:
        """Raise ConfigError if there are fewer utterances than ranks."""
        if not self.n_batches(epoch):
            number = len(self.dataset if self.draw is None else self.draw(epoch))
            raise ConfigError(
                f"world_size must be at most {number}, the number of utterances, "
                f"but is {self.sampler.world_size}"
            )

    def _stream(self, start: Position) -> Generator[tuple[Position, Batch], None, None]:
        # The sampler runs in this process and ahead of the batches, but in their order.
        positions: deque[Position] = deque()

        def plan() -> Iterable[list[int]]:
            for epoch in count(start.epoch):
                batches = self.sampler.batches(epoch)
                for number in range(start.batch if epoch == start.epoch else 0, len(batches)):
                    positions.append(Position(epoch, number))
                    yield batches[number].tolist()

        with closing(self._read(plan())) as batches:
            for batch in batches:
                yield positions.popleft(), batch

    def pass_once(self) -> Generator[Batch, None, None]:
        """Yield the batches of epoch 0: without ``shuffle``, over all ranks, each utterance once.

        Workers stop with the generator, which a caller that leaves it early has to close.

        Raises:
            ReaderError: a worker cannot be started, or has ended.
        """
        return self._read(iter(self.sampler))

    def _read(self, batches: Iterable[list[int]]) -> Generator[Batch, None, None]:
        loader: DataLoader[Sample | Failure] = DataLoader(
            self.dataset,
            batch_sampler=batches,
            num_workers=self.num_workers,
            collate_fn=_unchanged,  # the dataset returns batches
            pin_memory=self.pin_memory,
            worker_init_fn=start_reader,
            # Without one, every DataLoader draws a seed for its workers from the global one.
            generator=torch.Generator(),
        )
        if not self.num_workers:
            yield from loader
            return
        with closing(Readers(loader)) as readers:
            yield from readers

    def n_batches(self, epoch: int) -> int:
        """Return the number of batches of this rank in ``epoch``."""
        if epoch not in self._counts:
            self._counts[epoch] = self.sampler.n_batches(epoch)
        return self._counts[epoch]

    def total_steps(self, n_epochs: int) -> int:
        """Sum the batches of this rank in the first ``n_epochs`` epochs, which differ in length."""
        return sum(self.n_batches(epoch) for epoch in range(n_epochs))

    def padding(self, epoch: int = 0) -> float:
        """Return the share of padding in the audio of ``epoch``, over all ranks, from 0 to 1."""
        return padding_share(self.sampler.durations, self.sampler.plan(epoch))

    def __len__(self) -> int:
        return self.n_batches(0)


def _unchanged(batch: Any) -> Any:
    return batch
