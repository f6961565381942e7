"""Pruning a model to the n-grams that change its predictions most."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepspeech2.errors import ConfigError
from deepspeech2.text.ngram.backoff import BEGIN, END, NGramIndex, NGramOrder, NGramTables

# What n-grams leave to the lower order is a difference of sums near 1 of float32 logarithms.
_SMALLEST_MASS = 1e-9

_Flags = NDArray[np.bool_]
_Floats = NDArray[np.float64]


def entropy_prune(tables: NGramTables, threshold: float) -> NGramTables:
    """Return the model without the n-grams whose loss changes it by at most ``threshold``.

    The change from dropping w after the context h, whose words have the probability p(h), is the
    relative entropy D = -p(h) {p(w|h) [ln p(w|h') + ln b'(h) - ln p(w|h)] + m [ln b'(h) - ln b(h)]}
    in nats a word, where h' is h without its first word, b the back-off weight before and b' the
    one after, and m the mass that h leaves to the lower order. A. Stolcke, Entropy-based Pruning
    of Backoff Language Models, DARPA Broadcast News Workshop 1998, section 3; for small D it is
    the relative change of perplexity that SRILM's ``-prune`` compares.

    Unigrams stay, and so do the contexts of what stays. Back-off weights are computed anew, so
    that the probabilities after each context sum to 1 as before.

    Raises:
        ConfigError: ``threshold`` is negative.
    """
    check_threshold(threshold)
    index = NGramIndex.of(tables)
    contexts = _context_probabilities(index)
    kept: list[_Flags] = [np.ones(len(order.ids), bool) for order in tables.orders]
    left: list[_Floats] = []
    for n in range(len(tables.orders), 1, -1):
        order, parents = tables.orders[n - 1], index.parents[n - 1]
        probability = 10.0 ** order.log10_probability.astype(np.float64)
        change, mass = _changes(index, n, probability, contexts[n - 2])
        # Settled from the longest n-grams down: only kept ones make their contexts stay.
        is_context = np.zeros(len(kept[n - 1]), bool)
        if n < len(tables.orders):
            is_context[index.parents[n][kept[n]]] = True
        kept[n - 1] = is_context | (change > threshold)
        dropped = ~kept[n - 1]
        mass += np.bincount(parents[dropped], probability[dropped], len(mass))
        left.insert(0, mass)
    return _rebuilt(tables, kept, left)


def check_threshold(threshold: float) -> None:
    """Check the threshold of :func:`entropy_prune`, before there is a model.

    Raises:
        ConfigError: ``threshold`` is negative or not a number.
    """
    if not threshold >= 0:
        raise ConfigError(f"the entropy threshold must not be negative, but is {threshold}")


def _log10_shortened(index: NGramIndex, n: int) -> _Floats:
    """(N,) log10 p(w | h') for the n-grams h w of order n, where h' lacks the first word of h."""
    orders = index.tables.orders
    ids = orders[n - 1].ids
    result, rows = np.zeros(len(ids)), np.arange(len(ids))
    for length in range(n - 1, 0, -1):
        places = index.locate(ids[rows, -length:])
        known = places >= 0
        result[rows[known]] += orders[length - 1].log10_probability[places[known]]
        rows = rows[~known]
        if not len(rows):
            break
        contexts = index.locate(ids[rows, -length:-1])
        known = contexts >= 0
        result[rows[known]] += orders[length - 2].log10_backoff[contexts[known]]
    return result


def _context_probabilities(index: NGramIndex) -> list[_Floats]:
    """p(h) for every n-gram h, by the chain rule.

    Nothing predicts ``<s>``; there are as many sentences as ends, which gives it the probability
    of ``</s>``.
    """
    words = index.tables.words
    first, *longer = index.tables.orders
    log10 = first.log10_probability.astype(np.float64)
    log10[words.index(BEGIN)] = log10[words.index(END)]
    result = [log10]
    for order, parents in zip(longer, index.parents[1:], strict=True):
        result.append(result[-1][parents] + order.log10_probability)
    return [10.0**each for each in result]


def _changes(
    index: NGramIndex, n: int, probability: _Floats, contexts: _Floats
) -> tuple[_Floats, _Floats]:
    """The relative entropy for each n-gram of order n, and the mass that each context leaves."""
    parents, below = index.parents[n - 1], index.tables.orders[n - 2]
    lower = 10.0 ** _log10_shortened(index, n)
    backoff = 10.0 ** below.log10_backoff.astype(np.float64)
    unseen = np.maximum(1 - np.bincount(parents, lower, len(backoff)), _SMALLEST_MASS)
    mass = backoff * unseen
    after = (mass[parents] + probability) / (unseen[parents] + lower)
    change = probability * np.log(lower * after / probability)
    change += mass[parents] * np.log(after / backoff[parents])
    return -contexts[parents] * change, mass


def _rebuilt(tables: NGramTables, kept: list[_Flags], left: list[_Floats]) -> NGramTables:
    """The kept n-grams, with the back-off weights that make every context sum to 1."""
    orders = tuple(
        NGramOrder(order.ids[keep], order.log10_probability[keep], np.zeros(keep.sum(), np.float32))
        for order, keep in zip(tables.orders, kept, strict=True)
    )
    pruned = NGramTables(tables.words, orders)
    index = NGramIndex.of(pruned)
    # From short contexts to long ones, as the weight of a context depends on those of its ends.
    for n, mass in enumerate(left, start=2):
        lower = 10.0 ** _log10_shortened(index, n)
        mass = mass[kept[n - 2]]
        seen = np.bincount(index.parents[n - 1], lower, len(mass))
        weight = mass / np.maximum(1 - seen, _SMALLEST_MASS)
        is_context = np.bincount(index.parents[n - 1], minlength=len(mass)) > 0
        orders[n - 2].log10_backoff[is_context] = np.log10(weight[is_context])
    return pruned
