"""Back-off models in their plainest form: a dictionary of n-grams."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import numpy as np

from deepspeech2.text.ngram.backoff import NGramOrder, NGramTables

MARKERS = ("<unk>", "<s>", "</s>")


def random_tables(
    words: Sequence[str], order: int, *, seed: int, share: float = 0.4
) -> NGramTables:
    """N-grams with weights of no meaning; each has its first words, but not always its last."""
    random_ = random.Random(seed)
    vocabulary = sorted((*words, *MARKERS))
    begin, end = vocabulary.index("<s>"), vocabulary.index("</s>")
    ids: list[list[tuple[int, ...]]] = [[(index,) for index in range(len(vocabulary))]]
    for _ in range(1, order):
        longer = [
            (*prefix, index)
            for prefix, index in itertools.product(ids[-1], range(len(vocabulary)))
            if prefix[-1] != end and index != begin and random_.random() < share
        ]
        ids.append(sorted(longer))
    orders = []
    for n, grams in enumerate(ids, start=1):
        probabilities = np.array([random_.uniform(-2.5, -0.1) for _ in grams], dtype=np.float32)
        weights = np.array([random_.uniform(-0.8, 0.1) for _ in grams], dtype=np.float32)
        if n == order:
            weights[:] = 0.0
        orders.append(
            NGramOrder(np.array(grams, dtype=np.int32).reshape(-1, n), probabilities, weights)
        )
    return NGramTables(tuple(vocabulary), tuple(orders))


class PlainModel:
    """Katz back-off by the book, on a dictionary."""

    def __init__(self, tables: NGramTables) -> None:
        self.words = set(tables.words)
        self.grams: dict[tuple[str, ...], tuple[float, float]] = {}
        for order in tables.orders:
            rows = zip(order.ids, order.log10_probability, order.log10_backoff, strict=True)
            for ids, probability, weight in rows:
                gram = tuple(tables.words[index] for index in ids)
                self.grams[gram] = (float(probability), float(weight))
        self.order = len(tables.orders)

    def word(self, context: tuple[str, ...], word: str) -> float:
        if not context or (*context, word) in self.grams:
            return self.grams[*context, word][0]
        return self.grams.get(context, (0.0, 0.0))[1] + self.word(context[1:], word)

    def sentence(self, words: Sequence[str]) -> list[float]:
        """Base-10 logarithms of the words and of the end."""
        history: tuple[str, ...] = ("<s>",)
        scores = []
        for word in (*words, "</s>"):
            known = word if word in self.words else "<unk>"
            scores.append(self.word(history[-(self.order - 1) :] if self.order > 1 else (), known))
            history = (*history, known)
        return scores
