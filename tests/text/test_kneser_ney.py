from __future__ import annotations

import math
import random

import numpy as np
import pytest

from deepspeech2.errors import ConfigError
from deepspeech2.text.ngram.kneser_ney import FALLBACK, Discounts, estimate, estimate_discounts
from deepspeech2.text.ngram.texts import encode
from tests.text.plain_ngrams import PlainBackoff, PlainKneserNey, random_text

CASES = [
    (1, (0,), None),
    (2, (0, 0), None),
    (3, (0, 0, 0), None),
    (3, (0, 0, 1), None),
    (3, (0, 1, 2), None),
    (4, (0, 0, 1, 1), None),
    (3, (0, 0, 0), 12),
    (3, (0, 0, 1), 5),
]


@pytest.mark.parametrize(("order", "prune", "limit"), CASES)
@pytest.mark.parametrize("seed", range(2))
def test_probabilities(order: int, prune: tuple[int, ...], limit: int | None, seed: int) -> None:
    lines = random_text(seed)
    result = estimate(encode(lines), order, prune=prune, limit_vocabulary=limit)
    found, plain = PlainBackoff.of(result.tables), PlainKneserNey(lines, order, prune, limit)
    for n, discounts in enumerate(result.discounts):
        assert discounts.amounts == pytest.approx(plain.discounts[n])
    assert sorted(found.vocabulary) == plain.vocabulary
    kept = {gram for here in plain.kept for gram in here} | {("<unk>",), ("<s>",)}
    assert found.log10.keys() == kept
    for context in random.Random(seed).sample(found.contexts(), 40):
        expected = [plain.probability(word, context) for word in plain.vocabulary]
        actual = [found.probability(word, context[-order + 1 :]) for word in plain.vocabulary]
        assert math.fsum(expected) == pytest.approx(1)
        if len(context) < order:  # of longer ones the oracle knows the end, and so would a query
            assert actual == pytest.approx(expected, rel=1e-5)


def test_discounts_are_estimated_before_pruning() -> None:
    lines = random_text(0)
    whole, pruned = (estimate(encode(lines), 3, prune=prune) for prune in ((), (0, 1)))
    assert whole.discounts == pruned.discounts
    assert all(discounts.estimated for discounts in whole.discounts)
    assert whole.seen == pruned.seen == tuple(len(order.ids) for order in whole.tables.orders)
    assert pruned.tables.orders[2].ids.shape < whole.tables.orders[2].ids.shape


def test_discounts_by_hand() -> None:
    adjusted = np.repeat(np.array([0, 1, 2, 3, 4, 9], np.int32), [7, 8, 4, 2, 1, 5])
    # Y = 8 / (8 + 2 * 4) = 1/2; D1 = 1 - 2 Y 4/8, D2 = 2 - 3 Y 2/4, D3 = 3 - 4 Y 1/2
    discounts = estimate_discounts(adjusted)
    assert discounts == Discounts((0.5, 1.25, 2.0), estimated=True)
    counts = np.array([0, 1, 2, 3, 4, 100], np.int32)
    assert discounts.of(counts).tolist() == [0, 0.5, 1.25, 2, 2, 2]


@pytest.mark.parametrize("adjusted", [[], [1, 1, 1], [1, 2], [1, 2, 3, 3, 3, 3, 4, 4, 4, 4]])
def test_small_texts_take_fixed_discounts(adjusted: list[int]) -> None:
    expected = Discounts(FALLBACK, estimated=False)
    assert estimate_discounts(np.array(adjusted, np.int32)) == expected


def test_the_smallest_text() -> None:
    result = estimate(encode(["a"]), 4)
    found = PlainBackoff.of(result.tables)
    assert [len(order.ids) for order in result.tables.orders] == [4, 2, 1, 0]
    for context in found.contexts():
        total = math.fsum(found.probability(word, context) for word in found.vocabulary)
        assert total == pytest.approx(1)
    # a and </s> have a count of 1 less 0.5 of 2, and share the rest with <unk>
    assert 10 ** found.log10[("<unk>",)] == pytest.approx(0.5 / 3)
    assert 10 ** found.log10[("a",)] == pytest.approx(0.25 + 0.5 / 3)


def test_tables_are_as_they_promise() -> None:
    tables = estimate(encode(random_text(1)), 3, prune=(0, 0, 1), limit_vocabulary=20).tables
    assert len(tables.words) == len(tables.orders[0].ids) == 23
    for n, order in enumerate(tables.orders, start=1):
        assert order.ids.shape == (len(order.ids), n)
        assert order.ids.dtype == np.int32
        assert order.log10_probability.dtype == order.log10_backoff.dtype == np.float32
        assert order.ids.tolist() == sorted(map(list, set(map(tuple, order.ids.tolist()))))
    assert not tables.orders[-1].log10_backoff.any()
    assert tables.orders[0].log10_probability[tables.words.index("<s>")] == 0


def test_the_last_cutoff_holds_for_further_orders() -> None:
    text = encode(random_text(2))
    short, long = (estimate(text, 4, prune=prune).tables for prune in ((0, 1), (0, 1, 1, 1)))
    for left, right in zip(short.orders, long.orders, strict=True):
        np.testing.assert_array_equal(left.ids, right.ids)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prune": (1, 1)}, "prune must begin with 0, but is 1 1"),
        ({"prune": (0, 2, 1)}, "prune must not fall from one order to the next, but is 0 2 1"),
        ({"prune": (0, 0, 0, 1)}, "prune must have at most 3 numbers, as order, but is 0 0 0 1"),
        ({"order": 0}, "order must be at least 1, but is 0"),
        ({"limit_vocabulary": 0}, "limit_vocabulary must be at least 1, but is 0"),
    ],
)
def test_bad_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        estimate(encode(["a b"]), **{"order": 3, **options})
