"""A back-off n-gram model as plain arrays: what is estimated, pruned, written and read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

UNKNOWN, BEGIN, END = "<unk>", "<s>", "</s>"


@dataclass(frozen=True, slots=True)
class NGramOrder:
    """All n-grams of one order, N of them.

    Args:
        ids: (N, n) int32, word ids from the first word to the last; rows are unique and sorted
            lexicographically.
        log10_probability: (N,) float32, of the last word after the words before it.
        log10_backoff: (N,) float32, of the n-gram as a context; zeros at the highest order.
    """

    ids: NDArray[np.int32]
    log10_probability: NDArray[np.float32]
    log10_backoff: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class NGramTables:
    """A back-off model.

    Args:
        words: the vocabulary, id to word; holds ``<unk>``, ``<s>`` and ``</s>``.
        orders: ``orders[n - 1]`` holds the n-grams of n words. The 1-grams are all words, each in
            the row of its id. The first n - 1 words of every n-gram are an n-gram of the order
            below; the last n - 1 words need not be one.
    """

    words: tuple[str, ...]
    orders: tuple[NGramOrder, ...]
