"""Plan which utterances share a batch: by duration, from a seed and an epoch alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch.utils.data import Sampler

from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.seeding import derive_seed

# Durations are scaled by up to this much either way before they are sorted. It limits the
# padding that shuffling adds and lets an utterance meet all that are 2 * JITTER away.
JITTER = 0.02

Indices = NDArray[np.intp]
"""(N,): the utterances of a batch."""


def plan_epoch(
    durations: ArrayLike,
    *,
    max_batch_duration: float,
    max_batch_size: int | None = None,
    shuffle: bool,
    seed: int,
    epoch: int,
) -> list[Indices]:
    """Plan batches of indices into ``durations``, each index exactly once.

    In every batch (longest duration) * (number of utterances) is at most
    ``max_batch_duration``; an utterance that is longer by itself gets a batch of its own.
    The plan is a function of its arguments alone.

    Args:
        durations: (N,) seconds.
        max_batch_duration: seconds of audio in a batch, padding counted.
        max_batch_size: utterances in a batch; None for no limit.
        shuffle: if true, utterances of nearly equal duration meet by chance and batches come
            in random order, both drawn from ``seed`` and ``epoch``; otherwise the longest come
            first and ``seed`` and ``epoch`` have no effect.

    Raises:
        ConfigError: a limit is not positive.
        ManifestError: a duration is negative or not finite.
    """
    _check_limits(max_batch_duration, max_batch_size)
    seconds = as_durations(durations)
    rng = _plan_rng(seed, epoch) if shuffle else None
    order = _order(seconds, rng)
    starts = cuts(seconds[order], max_batch_duration, max_batch_size)
    batches = [order[start:end] for start, end in pairwise(starts)]
    if rng is not None:
        batches = [batches[index] for index in rng.permutation(len(batches)).tolist()]
    return batches


def cuts(
    durations: NDArray[np.float64], max_batch_duration: float, max_batch_size: int | None
) -> list[int]:
    """Cut ``durations`` (N,), in seconds and this order, into batches; return their starts and N.

    The longest duration times the size, which grows with every utterance, must not exceed the
    limit: a batch ends before the first utterance that does not fit, and is never empty. The
    longest of all that follow gives a number that surely fits, so that few are tried one by one
    where durations nearly descend. The result is exact in any order.
    """
    number = len(durations)
    seconds = durations.tolist()
    longest_to_come = np.maximum.accumulate(durations[::-1])[::-1]
    starts = [0]
    start = 0
    while start < number:
        most = number - start if max_batch_size is None else min(max_batch_size, number - start)
        size = _fitting(float(longest_to_come[start]), max_batch_duration, most)
        longest = max(seconds[start : start + size])
        while size < most:
            longest = max(longest, seconds[start + size])
            if longest * (size + 1) > max_batch_duration:
                break
            size += 1
        start += size
        starts.append(start)
    return starts


def _fitting(duration: float, max_batch_duration: float, most: int) -> int:
    """Return how many utterances of ``duration`` surely fit, from 1 to ``most``."""
    if duration * most <= max_batch_duration:
        return most
    size = int(max_batch_duration / duration)
    # The division may round up where the product, which decides, does not fit.
    return max(1, size if duration * size <= max_batch_duration else size - 1)


def padding_share(durations: ArrayLike, batches: Sequence[Indices]) -> float:
    """Return the share of padding in all audio of ``batches``, from 0 to 1."""
    seconds = as_durations(durations)
    padded = sum(float(seconds[batch].max()) * len(batch) for batch in batches)
    filled = sum(float(seconds[batch].sum()) for batch in batches)
    return 1 - filled / padded if padded > 0 else 0.0


def as_durations(durations: ArrayLike) -> NDArray[np.float64]:
    """Return ``durations`` as an array (N,), checked.

    Raises:
        ManifestError: a duration is negative or not finite.
    """
    seconds = np.asarray(durations, dtype=np.float64)
    wrong = np.flatnonzero(~(np.isfinite(seconds) & (seconds >= 0)))
    if len(wrong):
        raise ManifestError(
            f"durations must be finite and not negative, but that of utterance {wrong[0]} "
            f"is {seconds[wrong[0]]}"
        )
    return seconds


class BucketBatchSampler(Sampler[list[int]]):
    """This rank's share of the batches of :func:`plan_epoch`.

    All ranks draw the same plan and keep their own part of it, so they need not communicate.
    Batches of neighbouring durations form groups of ``world_size``; a group is one step, and
    each rank takes one batch of it. Where the last group would be incomplete, the batches with
    most utterances are halved until it is complete. When there is nothing to halve (every batch
    is a single utterance) the leftover batches are dropped, other ones in each epoch.

    Without ``shuffle`` (evaluation) nothing is halved, dropped or doubled: rank r takes batches
    r, r + world_size, ..., so that the numbers of batches may differ by one.

    Iterating delivers epoch 0; :meth:`batches` delivers any.

    Args:
        sorted_epochs: how many epochs of a shuffled sampler begin with the shortest batches and
            end with the longest (SortaGrad, Amodei et al. 2016, section 3.2).
        draw: returns the utterances of an epoch, which may repeat, as
            :class:`~deepspeech2.datasets.mixed.EpochDraw`; None: each once.

    Raises:
        ConfigError: a limit is not positive, ``sorted_epochs`` is negative, or ``rank`` is not
            below ``world_size``.
        ManifestError: a duration is negative or not finite.
    """

    def __init__(
        self,
        durations: ArrayLike,
        *,
        max_batch_duration: float,
        max_batch_size: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        sorted_epochs: int = 0,
        draw: Callable[[int], Indices] | None = None,
    ) -> None:
        _check_limits(max_batch_duration, max_batch_size)
        if sorted_epochs < 0:
            raise ConfigError(f"sorted_epochs must not be negative, but is {sorted_epochs}")
        if world_size < 1:
            raise ConfigError(f"world_size must be at least 1, but is {world_size}")
        if not 0 <= rank < world_size:
            raise ConfigError(f"rank must be from 0 to {world_size - 1}, but is {rank}")
        self.durations = as_durations(durations)
        self.max_batch_duration = max_batch_duration
        self.max_batch_size = max_batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.sorted_epochs = sorted_epochs
        self.draw = draw

    def __iter__(self) -> Iterator[list[int]]:
        return (batch.tolist() for batch in self.batches(0))

    def __len__(self) -> int:
        return self.n_batches(0)

    def plan(self, epoch: int) -> list[Indices]:
        """The batches of all ranks in ``epoch``."""
        drawn = None if self.draw is None else self.draw(epoch)
        batches = plan_epoch(
            self.durations if drawn is None else self.durations[drawn],
            max_batch_duration=self.max_batch_duration,
            max_batch_size=self.max_batch_size,
            shuffle=self.shuffle,
            seed=self.seed,
            epoch=epoch,
        )
        return batches if drawn is None else [drawn[batch] for batch in batches]

    def n_batches(self, epoch: int) -> int:
        """The number of :meth:`batches` in ``epoch``, without making them, which takes longer."""
        durations = self.durations if self.draw is None else self.durations[self.draw(epoch)]
        order = _order(durations, _plan_rng(self.seed, epoch) if self.shuffle else None)
        starts = cuts(durations[order], self.max_batch_duration, self.max_batch_size)
        number = len(starts) - 1
        if not self.shuffle:
            return len(range(self.rank, number, self.world_size))
        # Each halving makes one batch more, until every utterance has its own.
        whole = min(number + -number % self.world_size, len(durations))
        return whole // self.world_size

    def batches(self, epoch: int) -> list[Indices]:
        """The batches of this rank in ``epoch``, in the order in which they are trained."""
        plan = self.plan(epoch)
        if not self.shuffle:
            return plan[self.rank :: self.world_size]
        shortest_first = epoch < self.sorted_epochs
        if self.world_size == 1 and not shortest_first:
            return plan
        whole = _halve_until_divisible(plan, self.world_size)
        # Ranks wait for each other in every step: give them batches of like length.
        whole.sort(key=lambda batch: (-float(self.durations[batch].max()), -len(batch)))
        share = whole[self.rank :: self.world_size]
        if shortest_first:
            return share[::-1]
        rng = np.random.default_rng(derive_seed(self.seed, "steps", epoch))
        return [share[step] for step in rng.permutation(len(share))]


def _check_limits(max_batch_duration: float, max_batch_size: int | None) -> None:
    if not (max_batch_duration > 0 and math.isfinite(max_batch_duration)):
        raise ConfigError(f"max_batch_duration must be positive, but is {max_batch_duration}")
    if max_batch_size is not None and max_batch_size < 1:
        raise ConfigError(f"max_batch_size must be at least 1 or null, but is {max_batch_size}")


def _plan_rng(seed: int, epoch: int) -> np.random.Generator:
    return np.random.default_rng(derive_seed(seed, "plan", epoch))


def _order(seconds: NDArray[np.float64], rng: np.random.Generator | None) -> Indices:
    """Indices (N,), the longest utterance first; with ``rng``, of jittered durations."""
    if rng is None:
        return np.argsort(-seconds, kind="stable")
    jittered = seconds * np.exp(rng.uniform(-JITTER, JITTER, len(seconds)))
    # Floats that are not negative sort as the integers of the same bits. With the lowest bits
    # replaced by its index, each is sorted together with it, three times as fast as argsort and
    # without a tie that two machines might break differently.
    n_bits = np.uint64(len(seconds).bit_length())
    keys = ~(jittered + 0.0).view(np.uint64) >> n_bits << n_bits
    keys |= np.arange(len(seconds), dtype=np.uint64)
    keys.sort()
    return (keys & ~(~np.uint64(0) << n_bits)).astype(np.intp)


def _halve_until_divisible(plan: list[Indices], number: int) -> list[Indices]:
    """Make the number of batches a multiple of ``number``; see :class:`BucketBatchSampler`."""
    batches = list(plan)
    for _ in range(-len(batches) % number):
        largest = max(range(len(batches)), key=lambda index: len(batches[index]), default=None)
        if largest is None or len(batches[largest]) < 2:
            break
        batch = batches[largest]
        middle = len(batch) // 2
        batches[largest] = batch[:middle]
        batches.append(batch[middle:])
    return batches[: len(batches) - len(batches) % number]
