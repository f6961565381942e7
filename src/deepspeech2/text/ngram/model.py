"""A back-off model that answers questions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepspeech2.errors import ManifestError
from deepspeech2.text.ngram.kernel import NODE, ROOT, advance, walk
from deepspeech2.text.ngram.tables import BEGIN, END, UNKNOWN, NGramTables


class NGramModel:
    """An n-gram model with its vocabulary.

    Args:
        words: id to word; holds ``<unk>``, ``<s>`` and ``</s>``.
        nodes: (N + 1,) of :data:`deepspeech2.text.ngram.kernel.NODE`, the trie.
        counts: how many n-grams of each order it has.
    """

    def __init__(
        self, words: tuple[str, ...], nodes: NDArray[np.void], counts: tuple[int, ...]
    ) -> None:
        self.words = words
        self.nodes = nodes
        self.counts = counts
        self._ids = {word: index for index, word in enumerate(words)}
        self.unknown, self.begin, self.end = (self._ids[name] for name in (UNKNOWN, BEGIN, END))

    @classmethod
    def from_tables(cls, tables: NGramTables, *, source: Path | None = None) -> NGramModel:
        """Link the n-grams to a trie.

        Raises:
            ManifestError: an n-gram's first words are no n-gram; names ``source``.
        """
        return cls(
            tables.words, _link(tables, source), tuple(len(order.ids) for order in tables.orders)
        )

    @property
    def order(self) -> int:
        """Words of the longest n-grams."""
        return len(self.counts)

    @property
    def start(self) -> int:
        """The state at the beginning of a sentence."""
        return int(advance(self.nodes, ROOT, self.begin)[1])

    def id(self, word: str) -> int:
        """The id of a word; that of ``<unk>`` if it is unknown."""
        return self._ids.get(word, self.unknown)

    def __contains__(self, word: str) -> bool:
        return word in self._ids

    def score(
        self, words: Sequence[str], *, bos: bool = True, eos: bool = True
    ) -> list[tuple[float, bool]]:
        """Base-10 logarithm of the probability of each word, and whether the model knows it not.

        Args:
            words: of a sentence.
            bos: the sentence begins here.
            eos: it ends here: the end is the last entry.
        """
        ids = [self.id(word) for word in words]
        unknown = [index == self.unknown for index in ids] + ([False] if eos else [])
        return list(zip(self.log10_probabilities(ids, bos=bos, eos=eos), unknown, strict=True))

    def log10_probabilities(
        self, ids: Sequence[int], *, bos: bool = True, eos: bool = True
    ) -> list[float]:
        """The same for the ids of words."""
        all_ids = np.array([*ids, *([self.end] if eos else [])], dtype=np.int32)
        probabilities = np.empty(len(all_ids))
        walk(self.nodes, self.start if bos else ROOT, all_ids, probabilities)
        found: list[float] = probabilities.tolist()
        return found


def _link(tables: NGramTables, source: Path | None) -> NDArray[np.void]:
    """The trie of ``tables``: nodes in the order of n, then of their words."""
    n_words = len(tables.words)
    sizes = [1] + [len(order.ids) for order in tables.orders]
    offsets = np.concatenate([[0], np.cumsum(sizes)]).tolist()
    n_nodes = offsets[-1]
    nodes = np.zeros(n_nodes + 1, dtype=NODE)
    first_child, suffix = nodes["first_child"], nodes["suffix"]
    nodes["word"][0] = -1
    first_child[0] = 1
    parents: NDArray[np.int64] = np.zeros(n_words, dtype=np.int64)
    keys: list[NDArray[np.int64]] = []
    for n, order in enumerate(tables.orders, start=1):
        rows = slice(offsets[n], offsets[n + 1])
        nodes["word"][rows] = order.ids[:, -1]
        nodes["log10_probability"][rows] = order.log10_probability
        nodes["log10_backoff"][rows] = order.log10_backoff
        if n > 1:
            parents = _nodes(order.ids[:, :-1], keys, offsets, n_words)
            if len(parents) and parents.min() < 0:
                row = order.ids[int(parents.argmin())]
                phrase = " ".join(tables.words[index] for index in row)
                raise ManifestError(
                    f"{source or 'the model'} has the {n}-gram {phrase!r}, but not the words"
                    " before its last"
                )
        children = np.searchsorted(parents, np.arange(offsets[n - 1], offsets[n] + 1))
        first_child[offsets[n - 1] : offsets[n] + 1] = offsets[n] + children
        keys.append(parents * n_words + order.ids[:, -1])
        if n > 1:
            suffix[rows] = _suffixes(suffix[parents], order.ids[:, -1], keys, offsets, suffix)
    first_child[offsets[-2] :] = n_nodes
    return nodes


def _nodes(
    ids: NDArray[np.int32], keys: list[NDArray[np.int64]], offsets: list[int], n_words: int
) -> NDArray[np.int64]:
    """The nodes of (N, n) n-grams, -1 where one does not exist."""
    nodes = 1 + ids[:, 0].astype(np.int64)
    for n in range(1, ids.shape[1]):
        wanted = np.where(nodes < 0, -1, nodes * n_words + ids[:, n])
        nodes = _find(keys[n], wanted, offsets[n + 1])
    return nodes


def _find(keys: NDArray[np.int64], wanted: NDArray[np.int64], offset: int) -> NDArray[np.int64]:
    if not len(keys):
        return np.full(len(wanted), -1, dtype=np.int64)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, offset + place, -1)


def _suffixes(
    contexts: NDArray[np.int32],
    last: NDArray[np.int32],
    keys: list[NDArray[np.int64]],
    offsets: list[int],
    suffix: NDArray[np.int32],
) -> NDArray[np.int64]:
    """The longest known n-gram of ``last`` after ``contexts`` or after an end of these.

    Suffixes need not exist at every length: pruning may take "b c" and leave "a b c".
    """
    n_words = offsets[2] - offsets[1]
    result = np.full(len(last), -1, dtype=np.int64)
    contexts = contexts.astype(np.int64)
    while (open_ := np.flatnonzero(result < 0)).size:
        at = contexts[open_]
        found = np.where(at == ROOT, 1 + last[open_], -1)
        for n in range(1, len(keys)):
            inside = (at >= offsets[n]) & (at < offsets[n + 1])
            wanted = at[inside] * n_words + last[open_[inside]]
            found[inside] = _find(keys[n], wanted, offsets[n + 1])
        result[open_] = found
        contexts[open_] = suffix[at]
    return result
