"""Plans: every utterance once, within the limits, little padding, different every epoch."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from deepspeech2.datasets.bucketing import BucketBatchSampler, cuts, padding_share, plan_epoch
from deepspeech2.errors import ConfigError, ManifestError


def librispeech_like(number: int) -> np.ndarray:
    """Seconds: most utterances last 12 to 17, the others anything from 1.5 on."""
    rng = np.random.default_rng(0)
    full = rng.normal(14.5, 1.6, number)
    return np.where(rng.random(number) < 0.8, full, rng.uniform(1.5, 16, number)).clip(1.3, 30)


DURATIONS = librispeech_like(3000)


def plan(durations: np.ndarray = DURATIONS, **changes: object) -> list[list[int]]:
    options = {"max_batch_duration": 160.0, "shuffle": True, "seed": 1, "epoch": 0} | changes
    return [batch.tolist() for batch in plan_epoch(durations, **options)]  # type: ignore[arg-type]


def companions(batches: list[list[int]]) -> set[tuple[int, int]]:
    return {(a, b) for batch in batches for a in batch for b in batch if a < b}


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("max_batch_size", [None, 1, 7])
def test_every_index_once_and_within_the_limits(shuffle: bool, max_batch_size: int | None) -> None:
    batches = plan(shuffle=shuffle, max_batch_size=max_batch_size)
    assert sorted(index for batch in batches for index in batch) == list(range(len(DURATIONS)))
    for batch in batches:
        assert DURATIONS[batch].max() * len(batch) <= 160
        assert len(batch) <= (max_batch_size or len(batch))


def greedy(durations: list[float], most_seconds: float, most: int | None) -> list[int]:
    """Where a batch ends because the next utterance does not fit, one after another."""
    found, start = [0], 0
    for place in range(1, len(durations)):
        run = durations[start : place + 1]
        if len(run) > (most or len(run)) or max(run) * len(run) > most_seconds:
            found.append(place)
            start = place
    return [*found, len(durations)] if durations else found


@pytest.mark.parametrize("seed", range(40))
def test_batches_are_as_long_as_the_limits_allow_in_any_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    durations = rng.uniform(0, 20, seed * 5).round(seed % 4)
    if seed % 3:
        durations = -np.sort(-durations) * rng.uniform(0.9, 1.1, len(durations))
    for limit in (0.5, 7.0, 60.0, 0.1 * 3, 1e9):
        for most in (None, 1, 4):
            expected = greedy(durations.tolist(), limit, most)
            assert cuts(durations, limit, most) == expected


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("options", [{}, {"max_batch_size": 1}, {"max_batch_size": 7}])
def test_batches_are_counted_as_they_are_planned(shuffle: bool, options: dict[str, int]) -> None:
    for number in (0, 1, 5, 300):
        for world_size in (1, 2, 7):
            for rank in {0, world_size - 1}:
                ours = BucketBatchSampler(
                    DURATIONS[:number],
                    max_batch_duration=160.0,
                    shuffle=shuffle,
                    rank=rank,
                    world_size=world_size,
                    **options,
                )
                for epoch in range(3):
                    assert ours.n_batches(epoch) == len(ours.batches(epoch))


@pytest.mark.parametrize("shuffle", [True, False])
def test_what_is_too_long_is_alone(shuffle: bool) -> None:
    durations = np.array([5.0, 90.0, 5.0, 61.0, 60.0, 5.0])
    batches = plan(durations, max_batch_duration=60, shuffle=shuffle)
    assert sorted(map(sorted, batches)) == [[0, 2, 5], [1], [3], [4]]


def test_a_plan_is_a_function_of_its_arguments() -> None:
    np.random.seed(0)
    first = plan(epoch=3)
    np.random.seed(1)
    assert plan(list(DURATIONS), epoch=3) == first
    assert plan(epoch=4) != first
    assert plan(epoch=3, seed=2) != first


def test_epochs_mix_utterances_anew_with_at_most_three_percent_padding() -> None:
    durations = librispeech_like(28539)
    first, second = plan(durations, epoch=0), plan(durations, epoch=1)
    assert padding_share(durations, first) < 0.03
    assert padding_share(durations, second) < 0.03
    pairs = companions(first)
    assert len(pairs & companions(second)) < 0.15 * len(pairs)


def test_batches_come_in_random_order() -> None:
    longest = np.array([DURATIONS[batch].max() for batch in plan()])
    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.2


def test_evaluation_starts_with_the_longest() -> None:
    batches = plan(shuffle=False)
    order = [index for batch in batches for index in batch]
    assert (np.diff(DURATIONS[order]) <= 0).all()
    assert plan(shuffle=False, seed=9, epoch=9) == batches


def test_padding_share_counts_what_padding_adds() -> None:
    durations = np.array([4.0, 2.0, 3.0, 1.0])
    assert padding_share(durations, [[0, 1], [2, 3]]) == pytest.approx(4 / 14)
    assert padding_share(durations, [[index] for index in range(4)]) == 0
    assert padding_share([], []) == 0
    assert plan(np.array([])) == []


def test_all_of_librispeech_is_planned() -> None:
    durations = librispeech_like(281_241)
    batches = plan(durations, max_batch_duration=320)
    assert sorted(index for batch in batches for index in batch) == list(range(281_241))


@pytest.mark.parametrize("world_size", [2, 3, 8])
def test_ranks_share_an_epoch_in_equal_steps(world_size: int) -> None:
    shares = [sampler(rank, world_size).batches(2) for rank in range(world_size)]
    assert len({len(share) for share in shares}) == 1
    indices = [index for share in shares for batch in share for index in batch]
    assert sorted(indices) == list(range(len(DURATIONS)))
    costs = np.array([[DURATIONS[b].max() * len(b) for b in share] for share in shares])
    assert (costs <= 160).all()
    # In a step the ranks have the same to do, but for those that got a half.
    assert np.median(costs.max(0) / costs.min(0)) < 1.1


def sampler(rank: int, world_size: int, **changes: object) -> BucketBatchSampler:
    options = {"max_batch_duration": 160.0, "seed": 1} | changes
    return BucketBatchSampler(DURATIONS, rank=rank, world_size=world_size, **options)  # type: ignore[arg-type]


def test_ranks_leave_out_less_than_a_step_when_nothing_can_be_halved() -> None:
    number = len(DURATIONS)
    left_out = []
    for epoch in range(2):
        shares = [sampler(rank, 7, max_batch_size=1).batches(epoch) for rank in range(7)]
        assert {len(share) for share in shares} == {number // 7}
        indices = {index for share in shares for batch in share for index in batch}
        assert len(indices) == number - number % 7
        left_out.append(set(range(number)) - indices)
    assert left_out[0] != left_out[1]


def test_ranks_evaluate_every_utterance_once() -> None:
    shares = [sampler(rank, 4, shuffle=False).batches(0) for rank in range(4)]
    counts = Counter(index for share in shares for batch in share for index in batch)
    assert counts == Counter(range(len(DURATIONS)))
    lengths = [len(share) for share in shares]
    assert max(lengths) - min(lengths) <= 1


def test_one_rank_gets_the_plan() -> None:
    assert [batch.tolist() for batch in sampler(0, 1).batches(5)] == plan(epoch=5)
    assert list(sampler(0, 1)) == plan(epoch=0)
    assert len(sampler(0, 1)) == len(plan(epoch=0))


@pytest.mark.parametrize("world_size", [1, 3])
def test_sorted_epochs_go_from_short_to_long(world_size: int) -> None:
    for rank in range(world_size):
        ours = sampler(rank, world_size, sorted_epochs=2)
        plain = sampler(rank, world_size)
        for epoch in range(3):
            batches, usual = ours.batches(epoch), plain.batches(epoch)
            assert sorted(map(tuple, batches)) == sorted(map(tuple, usual))
            assert len(batches) == ours.n_batches(epoch)
            longest = [DURATIONS[batch].max() for batch in batches]
            assert (longest == sorted(longest)) == (epoch < 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sorted_epochs": -1}, "sorted_epochs must not be negative, but is -1"),
        ({"max_batch_duration": -3}, "max_batch_duration must be positive, but is -3"),
        ({"max_batch_duration": float("inf")}, "max_batch_duration must be positive"),
        ({"max_batch_size": 0}, "max_batch_size must be at least 1 or null, but is 0"),
        ({"world_size": 0}, "world_size must be at least 1, but is 0"),
        ({"rank": 2, "world_size": 2}, "rank must be from 0 to 1, but is 2"),
    ],
)
def test_values_out_of_range_are_refused(changes: dict[str, float], message: str) -> None:
    options = {"max_batch_duration": 10.0} | changes
    with pytest.raises(ConfigError, match=message):
        BucketBatchSampler([1.0], **options)  # type: ignore[arg-type]
    if not {"world_size", "sorted_epochs"} & set(changes):
        with pytest.raises(ConfigError, match=message):
            plan(**changes)


@pytest.mark.parametrize("wrong", [-1.0, float("nan")])
def test_impossible_durations_are_refused(wrong: float) -> None:
    with pytest.raises(ManifestError, match="that of utterance 1 is"):
        plan(np.array([1.0, wrong]))
