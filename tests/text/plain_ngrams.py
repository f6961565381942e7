"""Language models in plain dictionaries: slow, and written from the formulas alone."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from deepspeech2.text.ngram.backoff import NGramTables

Gram = tuple[str, ...]
SPECIAL = ("<unk>", "<s>", "</s>")


def random_text(seed: int, *, n_sentences: int = 150, n_words: int = 150) -> list[str]:
    """Sentences of up to eight words, of which few are frequent and many rare."""
    draw = random.Random(seed)
    words = [f"w{index}" for index in range(n_words)]
    weights = [1 / (index + 1) for index in range(n_words)]
    return [
        " ".join(draw.choices(words, weights, k=draw.randint(1, 8))) for _ in range(n_sentences)
    ]


def plain_counts(sentences: Sequence[str], order: int) -> list[Counter[Gram]]:
    """Occurrences of the n-grams of orders 1 to ``order``."""
    counts: list[Counter[Gram]] = [Counter() for _ in range(order)]
    for sentence in sentences:
        words = ["<s>", *sentence.split(), "</s>"]
        for n in range(1, order + 1):
            for start in range(len(words) - n + 1):
                counts[n - 1][tuple(words[start : start + n])] += 1
    del counts[0][("<s>",)]  # nothing predicts it
    return counts


def plain_adjusted(counts: list[Counter[Gram]]) -> list[dict[Gram, int]]:
    """The number of different words to the left, but at the highest order and after <s>."""
    adjusted: list[dict[Gram, int]] = []
    for n, here in enumerate(counts, start=1):
        if n == len(counts):
            adjusted.append(dict(here))
            continue
        left = defaultdict(set)
        for gram in counts[n]:
            left[gram[1:]].add(gram[0])
        adjusted.append({g: here[g] if g[0] == "<s>" else len(left[g]) for g in here})
    return adjusted


class PlainKneserNey:
    """Interpolated modified Kneser-Ney, one probability at a time.

    Args:
        prune: for every order the count up to which n-grams are dropped.
        limit: number of most frequent words to keep, ties broken by first occurrence.
    """

    def __init__(
        self, sentences: Sequence[str], order: int, prune: Sequence[int], limit: int | None = None
    ) -> None:
        counts = plain_counts(sentences, order)
        self.adjusted = plain_adjusted(counts)
        seen = Counter(word for sentence in sentences for word in sentence.split())
        known = {word for word, _ in seen.most_common(limit)} | {*SPECIAL}
        self.kept = [
            {g for g in here if (here[g] > t or len(g) == 1) and known.issuperset(g)}
            for here, t in zip(counts, prune, strict=True)
        ]
        self.vocabulary = sorted(known - {"<s>"})
        self.discounts = [self._discounts(list(here.values())) for here in self.adjusted]
        self.followers = [defaultdict(list) for _ in range(order)]
        for n, here in enumerate(self.adjusted):
            for gram in here:
                self.followers[n][gram[:-1]].append(gram)

    @staticmethod
    def _discounts(values: list[int]) -> list[float]:
        t = {k: values.count(k) for k in (1, 2, 3, 4)}
        try:
            y = t[1] / (t[1] + 2 * t[2])
            found = [k - (k + 1) * y * t[k + 1] / t[k] for k in (1, 2, 3)]
        except ZeroDivisionError:
            found = []
        if found and all(0 < amount <= k for k, amount in enumerate(found, start=1)):
            return found
        return [0.5, 1.0, 1.5]

    def probability(self, word: str, context: Gram) -> float:
        """p(word | context), where contexts may be longer than the model's."""
        n = len(context)
        if n >= len(self.adjusted):
            return self.probability(word, context[1:])
        lower = self.probability(word, context[1:]) if n else 1 / len(self.vocabulary)
        grams = self.followers[n].get(context, [])
        total = sum(self.adjusted[n][gram] for gram in grams)
        if not total:
            return lower
        left = seen = 0.0
        for gram in grams:
            count = self.adjusted[n][gram]
            taken = self.discounts[n][min(count, 3) - 1]
            if gram not in self.kept[n]:
                taken = count
            left += taken
            if gram[-1] == word:
                seen = count - taken
        return (seen + left * lower) / total


@dataclass
class PlainBackoff:
    """A back-off model as the ARPA format means it."""

    log10: dict[Gram, float]
    backoff: dict[Gram, float]
    vocabulary: list[str]

    @classmethod
    def of(cls, tables: NGramTables) -> PlainBackoff:
        log10, backoff = {}, {}
        for order in tables.orders:
            values = zip(
                order.ids.tolist(),
                order.log10_probability.tolist(),
                order.log10_backoff.tolist(),
                strict=True,
            )
            for ids, probability, weight in values:
                gram = tuple(tables.words[index] for index in ids)
                log10[gram], backoff[gram] = probability, weight
        return cls(log10, backoff, [word for word in tables.words if word != "<s>"])

    def probability(self, word: str, context: Gram) -> float:
        if (*context, word) in self.log10:
            return 10 ** self.log10[(*context, word)]
        return 10 ** self.backoff.get(context, 0.0) * self.probability(word, context[1:])

    def contexts(self) -> list[Gram]:
        """Every n-gram that something may follow, and the empty one."""
        return [(), *(gram for gram in self.log10 if gram[-1] not in ("</s>", "<unk>"))]

    def score(self, sentence: str, order: int) -> list[tuple[float, bool]]:
        """The probability of each word and of the end, and whether the word is unknown."""
        words = [w if (w,) in self.log10 else "<unk>" for w in ("<s>", *sentence.split(), "</s>")]
        return [
            (self.probability(words[i], tuple(words[max(0, i - order + 1) : i])), w == "<unk>")
            for i, w in enumerate(words)
            if i
        ]
