"""A back-off n-gram model: its tables, places in them, and the trie that is queried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepspeech2.errors import ManifestError
from deepspeech2.text.ngram.kernel import NODE, ROOT, advance, walk

UNKNOWN, BEGIN, END = "<unk>", "<s>", "</s>"

Places = NDArray[np.int64]
"""Rows in the table of an order; -1 for n-grams that the model lacks."""


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
        words: the vocabulary, id to word, with ``<unk>``, ``<s>`` and ``</s>``.
        orders: ``orders[n - 1]`` has the n-grams of n words. The 1-grams are all words, each in
            the row of its id. The first n - 1 words of every n-gram are an n-gram of the order
            below; the last n - 1 words need not be one.
    """

    words: tuple[str, ...]
    orders: tuple[NGramOrder, ...]


@dataclass(frozen=True, slots=True)
class NGramIndex:
    """Finds the n-grams of tables by their words.

    Attributes:
        tables: the n-grams.
        parents: for every order the (N,) places of the n-grams' first n - 1 words; zeros for
            1-grams.
        keys: for every order (N,) parent * number of words + last word, ascending.
    """

    tables: NGramTables
    parents: list[Places]
    keys: list[Places]

    @classmethod
    def of(cls, tables: NGramTables, *, source: Path | None = None) -> NGramIndex:
        """Index the tables.

        Raises:
            ManifestError: an n-gram's first words are no n-gram; names ``source``.
        """
        n_words = len(tables.words)
        index = cls(tables, [np.zeros(n_words, np.int64)], [np.arange(n_words)])
        for n, order in enumerate(tables.orders[1:], start=2):
            parents = index.locate(order.ids[:, :-1])
            if len(parents) and parents.min() < 0:
                phrase = " ".join(tables.words[id_] for id_ in order.ids[int(parents.argmin())])
                raise ManifestError(
                    f"{source or 'the model'} has the {n}-gram {phrase!r}, but not the words"
                    " before its last"
                )
            index.parents.append(parents)
            index.keys.append(parents * n_words + order.ids[:, -1])
        return index

    def locate(self, ids: NDArray[np.int32]) -> Places:
        """The places of (M, n) n-grams."""
        places = ids[:, 0].astype(np.int64)
        for n in range(2, ids.shape[1] + 1):
            places = self.extended(n, places, ids[:, n - 1])
        return places

    def extended(self, n: int, parents: Places, words: NDArray[np.int32]) -> Places:
        """The places of n-grams of order n by (M,) their parents' places and their last words."""
        keys = self.keys[n - 1]
        if not len(keys):
            return np.full(len(words), -1, dtype=np.int64)
        wanted = np.where(parents < 0, -1, parents * len(self.tables.words) + words)
        places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where(keys[places] == wanted, places, -1)


class NGramModel:
    """An n-gram model with its vocabulary.

    Args:
        words: id to word, with ``<unk>``, ``<s>`` and ``</s>``.
        nodes: (N + 1,) of :data:`deepspeech2.text.ngram.kernel.NODE`, the trie.
        counts: how many n-grams of each order it has.

    Attributes:
        unknown, end: ids of ``<unk>`` and ``</s>``.
        start: the state at the beginning of a sentence.
    """

    def __init__(
        self, words: tuple[str, ...], nodes: NDArray[np.void], counts: tuple[int, ...]
    ) -> None:
        self.words = words
        self.nodes = nodes
        self.counts = counts
        self._ids = {word: index for index, word in enumerate(words)}
        self.unknown, self.end = self._ids[UNKNOWN], self._ids[END]
        self.start = int(advance(nodes, ROOT, self._ids[BEGIN])[1])

    @classmethod
    def from_tables(cls, tables: NGramTables, *, source: Path | None = None) -> NGramModel:
        """Link the n-grams to a trie, return the model.

        Raises:
            ManifestError: an n-gram's first words are no n-gram; names ``source``.
        """
        nodes = _link(NGramIndex.of(tables, source=source))
        return cls(tables.words, nodes, tuple(len(order.ids) for order in tables.orders))

    @property
    def order(self) -> int:
        """Words of the longest n-grams."""
        return len(self.counts)

    def score(self, words: Sequence[str]) -> list[tuple[float, bool]]:
        """Score a sentence: the log10 probability of each word, and whether the model lacks it.

        The last entry is the end of the sentence.
        """
        ids = [self._ids.get(word, self.unknown) for word in words]
        unknown = [index == self.unknown for index in ids] + [False]
        return list(zip(self.log10_probabilities(ids), unknown, strict=True))

    def log10_probabilities(self, ids: Sequence[int]) -> list[float]:
        """Base-10 logarithm of the probability of each word of a sentence, and of its end."""
        probabilities = np.empty(len(ids) + 1)
        walk(self.nodes, self.start, np.array([*ids, self.end], dtype=np.int32), probabilities)
        result: list[float] = probabilities.tolist()
        return result


def _link(index: NGramIndex) -> NDArray[np.void]:
    """The trie of some tables: nodes in the order of n, then of their words."""
    orders = index.tables.orders
    offsets = np.cumsum([0, 1, *(len(order.ids) for order in orders)]).tolist()
    nodes = np.zeros(offsets[-1] + 1, dtype=NODE)
    nodes["word"][0] = -1
    for n, order in enumerate(orders, start=1):
        rows, parents = slice(offsets[n], offsets[n + 1]), index.parents[n - 1]
        nodes["word"][rows] = order.ids[:, -1]
        nodes["log10_probability"][rows] = order.log10_probability
        nodes["log10_backoff"][rows] = order.log10_backoff
        # children are beside each other, in the order of their parents
        above = np.arange(offsets[n] - offsets[n - 1] + 1)
        nodes["first_child"][offsets[n - 1] : offsets[n] + 1] = offsets[n] + np.searchsorted(
            parents, above
        )
        if n > 1:
            contexts = nodes["suffix"][offsets[n - 1] + parents]
            nodes["suffix"][rows] = _suffixes(index, n, contexts, offsets, nodes["suffix"])
    nodes["first_child"][offsets[-2] :] = offsets[-1]
    return nodes


def _suffixes(
    index: NGramIndex,
    order: int,
    contexts: NDArray[np.int32],
    offsets: list[int],
    suffix: NDArray[np.int32],
) -> NDArray[np.int64]:
    """The nodes of the longest known ends of all n-grams of an order.

    Suffixes need not exist at every length: pruning may take "b c" and leave "a b c".

    Args:
        contexts: (N,) the nodes of the longest known ends of their first n - 1 words.
        suffix: of every node of the shorter orders.
    """
    last = index.tables.orders[order - 1].ids[:, -1]
    result = np.full(len(last), -1, dtype=np.int64)
    shorter = contexts.astype(np.int64)
    while (open_ := np.flatnonzero(result < 0)).size:
        at = shorter[open_]
        nodes = np.where(at == ROOT, 1 + last[open_], -1)
        for n in range(1, order):
            inside = (at >= offsets[n]) & (at < offsets[n + 1])
            places = index.extended(n + 1, at[inside] - offsets[n], last[open_[inside]])
            nodes[inside] = np.where(places < 0, -1, offsets[n + 1] + places)
        result[open_] = nodes
        shorter[open_] = suffix[at]
    return result
