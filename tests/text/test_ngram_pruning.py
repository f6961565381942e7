from __future__ import annotations

import math
import random

import numpy as np
import pytest

from deepspeech2.errors import ConfigError
from deepspeech2.text.ngram.backoff import NGramTables
from deepspeech2.text.ngram.kneser_ney import estimate
from deepspeech2.text.ngram.pruning import entropy_prune
from deepspeech2.text.ngram.texts import encode
from tests.text.plain_ngrams import Gram, PlainBackoff, random_text


def model(seed: int, order: int = 3, **options: object) -> NGramTables:
    return estimate(encode(random_text(seed)), order, **options).tables


def plain_changes(model: PlainBackoff) -> dict[Gram, float]:
    """Relative entropy of the model and the one without each n-gram, by its definition.

    The sum over the words after the context, once with the n-gram and once without.
    """
    changes = {}
    for gram in (gram for gram in model.log10 if len(gram) > 1):
        *context, last = gram
        seen = {w for w in model.vocabulary if (*context, w) in model.log10}
        before = {w: model.probability(w, tuple(context)) for w in model.vocabulary}
        lower = {w: model.probability(w, tuple(context[1:])) for w in model.vocabulary}
        rest = [w for w in model.vocabulary if w not in seen - {last}]
        mass = 1 - sum(before[w] for w in seen - {last})
        weight = mass / sum(lower[w] for w in rest)
        words = ["</s>" if word == "<s>" else word for word in context]
        p_context = model.probability(words[0], ())
        for i in range(1, len(words)):
            p_context *= model.probability(words[i], tuple(context[:i]))
        changes[gram] = p_context * sum(
            before[w] * math.log(before[w] / (weight * lower[w])) for w in rest
        )
    return changes


@pytest.mark.parametrize(("seed", "order"), [(0, 2), (1, 3), (2, 4)])
@pytest.mark.parametrize("share", [0.2, 0.7])
def test_what_is_dropped(seed: int, order: int, share: float) -> None:
    tables = model(seed, order, prune=(0, 0, 1)[:order])
    changes = plain_changes(PlainBackoff.of(tables))
    ranked = sorted(changes.values())
    middle, near = int(share * len(ranked)), len(ranked) // 10
    # Many n-grams are equally good: the threshold must not lie among these.
    cut = max(range(middle - near, middle + near), key=lambda i: ranked[i + 1] / ranked[i])
    threshold = (ranked[cut] + ranked[cut + 1]) / 2
    kept = {gram for gram, change in changes.items() if change > threshold}
    kept |= {gram[:length] for gram in kept for length in range(2, len(gram))}
    found = PlainBackoff.of(entropy_prune(tables, threshold))
    assert {gram for gram in found.log10 if len(gram) > 1} == kept


@pytest.mark.parametrize("threshold", [0, 1e-5, 1e-4, 1e-3, math.inf])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_probabilities_still_sum_to_one(threshold: float, order: int) -> None:
    tables = model(3, order)
    pruned = PlainBackoff.of(entropy_prune(tables, threshold))
    whole = PlainBackoff.of(tables)
    for context in random.Random(order).sample(whole.contexts(), 100):
        total = math.fsum(pruned.probability(word, context) for word in pruned.vocabulary)
        assert total == pytest.approx(1, abs=2e-6)
    for gram, log10 in pruned.log10.items():
        assert log10 == whole.log10[gram]


def test_a_suffix_may_be_dropped_before_what_it_ends() -> None:
    tables = model(1)
    for threshold in np.geomspace(1e-6, 1e-3, 20):
        pruned = PlainBackoff.of(entropy_prune(tables, float(threshold)))
        if any(gram[1:] not in pruned.log10 for gram in pruned.log10 if len(gram) > 1):
            return
    pytest.fail("no threshold drops a suffix: the sums above test less than they should")


def test_extremes() -> None:
    tables = model(4)
    none = entropy_prune(tables, math.inf)
    assert [len(order.ids) for order in none.orders] == [len(tables.words), 0, 0]
    assert not none.orders[0].log10_backoff.any()
    sizes = [sum(len(o.ids) for o in entropy_prune(tables, t).orders) for t in (0, 1e-4, 1e-3)]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3


def test_the_given_model_stays_as_it_is() -> None:
    tables, again = model(5), model(5)
    entropy_prune(tables, 1e-3)
    for left, right in zip(tables.orders, again.orders, strict=True):
        np.testing.assert_array_equal(left.ids, right.ids)
        np.testing.assert_array_equal(left.log10_backoff, right.log10_backoff)


@pytest.mark.parametrize("threshold", [-1e-9, math.nan])
def test_the_threshold_must_not_be_negative(threshold: float) -> None:
    with pytest.raises(ConfigError, match=f"must not be negative, but is {threshold}"):
        entropy_prune(model(0), threshold)
