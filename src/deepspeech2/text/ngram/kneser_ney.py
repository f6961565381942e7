"""Interpolated modified Kneser-Ney smoothing, as KenLM's lmplz computes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepspeech2.errors import ConfigError
from deepspeech2.text.ngram.backoff import BEGIN, NGramOrder, NGramTables
from deepspeech2.text.ngram.counts import NGramCounts, count_ngrams
from deepspeech2.text.ngram.texts import RESERVED, EncodedText

FALLBACK = (0.5, 1.0, 1.5)

_Flags = NDArray[np.bool_]
_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Discounts:
    """What is taken from an n-gram's count.

    Args:
        amounts: from a count of 1, of 2, and of 3 or more.
        estimated: false where the text was too small and they are :data:`FALLBACK`.
    """

    amounts: tuple[float, float, float]
    estimated: bool

    def of(self, counts: NDArray[np.int32]) -> _Floats:
        """The discount for each of ``counts``; 0 from a count of 0."""
        table: _Floats = np.array([0.0, *self.amounts])
        return table[np.minimum(counts, 3)]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A model, and for every order the number of n-grams in the text and the discounts."""

    tables: NGramTables
    seen: tuple[int, ...]
    discounts: tuple[Discounts, ...]


def estimate_discounts(adjusted: NDArray[np.int32]) -> Discounts:
    """The discounts of one order from its adjusted counts, pruned n-grams included.

    With t_k n-grams of count k and Y = t_1 / (t_1 + 2 t_2): D_k = k - (k + 1) Y t_{k+1} / t_k.
    S. Chen and J. Goodman, An Empirical Study of Smoothing Techniques for Language Modeling,
    TR-10-98, Harvard 1998, equation 26. Where some t_k is 0 or some D_k outside (0, k], as in
    small or artificial texts, :data:`FALLBACK`, the values of ``lmplz --discount_fallback``.
    """
    t = np.bincount(np.minimum(adjusted, 5), minlength=6).tolist()
    if t[1] and t[2] and t[3]:
        y = t[1] / (t[1] + 2 * t[2])
        one, two, three = (k - (k + 1) * y * t[k + 1] / t[k] for k in (1, 2, 3))
        if 0 < one <= 1 and 0 < two <= 2 and 0 < three <= 3:
            return Discounts((one, two, three), estimated=True)
    return Discounts(FALLBACK, estimated=False)


def estimate(
    text: EncodedText,
    order: int,
    *,
    prune: Sequence[int] = (),
    limit_vocabulary: int | None = None,
) -> Estimate:
    """The modified Kneser-Ney model of ``text``.

    p(w | h) = (a(h w) - D(a(h w))) / a(h .) + b(h) p(w | h'), where a are adjusted counts, h' is
    h without its first word, and b(h) what the discounts and the pruned n-grams leave over. Below
    the unigrams is the uniform distribution over all words but ``<s>``, from which alone
    ``<unk>`` has its probability; that of ``<s>`` is 1, so that scoring it changes nothing.
    K. Heafield et al., Scalable Modified Kneser-Ney Language Model Estimation, ACL 2013, section 3.

    Args:
        order: words in the longest n-grams, at least 1.
        prune: for every order the count up to which n-grams are dropped, 0 for the first and
            never falling; the last one applies to all further orders.
        limit_vocabulary: keep only as many of the most frequent words, and drop n-grams with
            others, whose probability goes where that of pruned n-grams goes.

    Raises:
        ConfigError: an option is out of range.
    """
    check_options(order, prune, limit_vocabulary)
    given = list(prune) or [0]
    thresholds = given + given[-1:] * (order - len(given))
    counts = count_ngrams(text, order)
    kept = _kept(counts, thresholds, _known(text.words, counts[0].count, limit_vocabulary))
    discounts = tuple(estimate_discounts(each.adjusted) for each in counts)
    tables = _build(text.words, counts, discounts, kept)
    return Estimate(tables, tuple(len(each) for each in counts), discounts)


def check_options(order: int, prune: Sequence[int], limit_vocabulary: int | None) -> None:
    """Check the options of :func:`estimate`, before a text is read.

    Raises:
        ConfigError: an option is out of range.
    """
    shown = " ".join(map(str, prune))
    if order < 1:
        raise ConfigError(f"order must be at least 1, but is {order}")
    if len(prune) > order:
        raise ConfigError(f"prune must have at most {order} numbers, as order, but is {shown}")
    if prune and prune[0] != 0:
        raise ConfigError(
            f"prune must begin with 0, but is {shown}: limit the vocabulary to drop words"
        )
    if list(prune) != sorted(prune):
        raise ConfigError(f"prune must not fall from one order to the next, but is {shown}")
    if limit_vocabulary is not None and limit_vocabulary < 1:
        raise ConfigError(f"limit_vocabulary must be at least 1, but is {limit_vocabulary}")


def _known(words: Sequence[str], count: NDArray[np.int32], limit: int | None) -> _Flags:
    """Which words stay: the reserved ones and the ``limit`` most frequent, the earlier first."""
    if limit is None:
        return np.ones(len(words), bool)
    known: _Flags = np.array([word in RESERVED for word in words])
    by_count = np.argsort(-count, kind="stable")
    known[by_count[~known[by_count]][:limit]] = True
    return known


def _kept(
    counts: Sequence[NGramCounts], thresholds: Sequence[int], known: _Flags
) -> tuple[_Flags, ...]:
    """Which n-grams stay. Thresholds that never fall keep the beginning and end of each."""
    kept = [known]
    for each, threshold in zip(counts[1:], thresholds[1:], strict=True):
        kept.append((each.count > threshold) & kept[-1][each.prefix] & known[each.word])
    return tuple(kept)


def _build(
    words: Sequence[str],
    counts: Sequence[NGramCounts],
    discounts: Sequence[Discounts],
    kept: Sequence[_Flags],
) -> NGramTables:
    """The tables of what is kept, with places and ids counted anew."""
    known = tuple(word for word, stays in zip(words, kept[0], strict=True) if stays)
    orders: list[NGramOrder] = []
    probability: _Floats = np.array([1 / (len(known) - 1)])  # uniform, without <s>
    ids = np.arange(len(known), dtype=np.int32)[:, None]
    for n, each in enumerate(counts):
        probability, backoff = _interpolate(each, discounts[n], kept[n], probability)
        if n == 0:
            probability[words.index(BEGIN)] = 1.0
        else:
            orders[-1].log10_backoff[:] = np.log10(backoff[kept[n - 1]])
            last = _renumbered(kept[0])[each.word[kept[n]]]
            ids = np.column_stack((ids[_renumbered(kept[n - 1])[each.prefix[kept[n]]]], last))
        log10 = np.minimum(np.log10(probability[kept[n]]), 0).astype(np.float32)
        orders.append(NGramOrder(ids, log10, np.zeros_like(log10)))
    return NGramTables(known, tuple(orders))


def _interpolate(
    counts: NGramCounts, discounts: Discounts, kept: _Flags, lower: _Floats
) -> tuple[_Floats, _Floats]:
    """The probability of each of N n-grams, and the weight of the lower order in each context.

    Args:
        kept: (N,); what is pruned leaves all its count to the lower order.
        lower: (M,) probability of every n-gram of the order below.

    Returns:
        (N,) probabilities, without meaning where pruned, and (M,) weights, 1 for no context.
    """
    adjusted = counts.adjusted
    taken = discounts.of(adjusted)
    left = np.where(kept, taken, adjusted)
    total = np.bincount(counts.prefix, adjusted, len(lower))
    is_context = total > 0
    total[~is_context] = 1.0
    backoff = np.bincount(counts.prefix, left, len(lower)) / total
    backoff[~is_context] = 1.0
    probability = (adjusted - taken) / total[counts.prefix]
    probability += backoff[counts.prefix] * lower[counts.suffix]
    return probability, backoff


def _renumbered(kept: _Flags) -> NDArray[np.int32]:
    """The new place of everything that is kept."""
    return np.cumsum(kept, dtype=np.int32) - np.int32(1)
