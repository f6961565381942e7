"""How often every n-gram of a text occurs, and after how many different words.

An n-gram is stored as a pair of numbers, the place of its first n - 1 words among the n-grams of
that order and its last word: the pair fits one 64-bit key at any order and any vocabulary, and
sorted keys are n-grams in lexicographic order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from tqdm import trange

from deepspeech2.text.ngram.backoff import BEGIN
from deepspeech2.text.ngram.texts import EncodedText


@dataclass(frozen=True, slots=True)
class NGramCounts:
    """The n-grams of one order, N of them, in lexicographic order of their word ids.

    Args:
        prefix: (N,) int32, place of the first n - 1 words in the order below; zeros for unigrams.
        word: (N,) int32, id of the last word.
        suffix: (N,) int32, place of the last n - 1 words in the order below; zeros for unigrams.
        count: (N,) int32, occurrences in the text.
        adjusted: (N,) int32, what Kneser-Ney estimates from: ``count`` at the highest order and
            for n-grams that begin with ``<s>``, otherwise how many different words come before.
    """

    prefix: NDArray[np.int32]
    word: NDArray[np.int32]
    suffix: NDArray[np.int32]
    count: NDArray[np.int32]
    adjusted: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.word)


def count_ngrams(text: EncodedText, order: int) -> tuple[NGramCounts, ...]:
    """Count the n-grams of the orders 1 to ``order``, none of which goes over a sentence's end.

    Unigrams are all words of the vocabulary, ``<unk>`` and ``<s>`` with count 0, as nothing
    predicts them. K. Heafield et al., Scalable Modified Kneser-Ney Language Model Estimation,
    ACL 2013, sections 3.1 and 3.2.

    Beside the result it takes some 40 bytes of memory for each word of the text.

    Args:
        order: words in the longest n-grams.

    Raises:
        ValueError: ``order`` is below 1.
    """
    if order < 1:
        raise ValueError(f"order must be at least 1, but is {order}")
    begin = text.words.index(BEGIN)
    places = text.ids  # of the n-gram that ends at each position; -1 where none does
    raw = [_unigrams(text, begin)]
    for _ in trange(1, order, desc="counting n-grams", unit=" orders", disable=None):
        counts, places = _extend(text.ids, places, len(text.words), begin)
        raw.append(counts)
    return _adjusted(raw, begin)


def _unigrams(text: EncodedText, begin: int) -> NGramCounts:
    count = np.bincount(text.ids, minlength=len(text.words)).astype(np.int32)
    count[begin] = 0
    words, none = np.arange(len(count), dtype=np.int32), np.zeros(len(count), np.int32)
    return NGramCounts(none, words, none, count, count)


def _extend(
    ids: NDArray[np.int32], places: NDArray[np.int32], n_words: int, begin: int
) -> tuple[NGramCounts, NDArray[np.int32]]:
    """The n-grams that extend those at ``places`` by the next word, and the places of theirs."""
    ends = np.flatnonzero((places[:-1] >= 0) & (ids[1:] != begin)) + 1
    keys = places[ends - 1].astype(np.int64) * n_words + ids[ends]
    by_key = np.argsort(keys)
    keys = keys[by_key]
    ends = ends[by_key]
    del by_key
    is_first = np.ones(len(keys), bool)
    is_first[1:] = keys[1:] != keys[:-1]
    first = np.flatnonzero(is_first)
    extended = np.full(len(ids), -1, np.int32)
    extended[ends] = np.cumsum(is_first, dtype=np.int32) - 1
    prefix, word = np.divmod(keys[first], n_words)
    count = np.diff(first, append=len(keys)).astype(np.int32)
    suffix = places[ends[first]]
    return (
        NGramCounts(prefix.astype(np.int32), word.astype(np.int32), suffix, count, count),
        extended,
    )


def _adjusted(raw: Sequence[NGramCounts], begin: int) -> tuple[NGramCounts, ...]:
    """The same with adjusted counts; until here they are the plain ones."""
    finished = []
    begins = np.arange(len(raw[0])) == begin
    for n, (here, above) in enumerate(pairwise(raw)):
        adjusted = np.bincount(above.suffix, minlength=len(here)).astype(np.int32)
        if n > 0:  # <s> alone has no count to keep
            begins = begins[here.prefix]
            adjusted[begins] = here.count[begins]
        finished.append(replace(here, adjusted=adjusted))
    return (*finished, raw[-1])
