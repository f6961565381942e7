"""What a language model and hot words add to the score of a prefix.

A word counts when it is complete. Until then its prefix counts as the best that can still come of
it: the maximum, over the words that begin so, of their probability after the context at hand
(H. Ney, S. Ortmanns, Progress in dynamic programming search for LVCSR, 2000, on look-ahead). The
words that begin alike have neighbouring ids, so this is a maximum over a range of children.
"""

# What Numba compiles carries no types.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepspeech2.decoding.kernels.tree import CONTEXT, HOT, NONE, SETTLED, SPELLING, TOTAL
from deepspeech2.jit import compiled
from deepspeech2.text.ngram.kernel import ROOT, advance, lower_bound

SPELLING_NODE = np.dtype(
    [
        ("letter", np.int32),
        ("first_child", np.int32),
        ("word", np.int32),
        ("first", np.int32),
        ("last", np.int32),
        ("outlook", np.float32),
    ]
)
"""A node of a trie of spellings: the code point of its last letter; where its children begin, by
ascending letter, which end where those of the next node begin; the word that is spelled so, or -1;
the words that begin so are ``first`` ... ``last - 1``; base-10 logarithm of the most probable
1-gram among them.

Node 0 is the empty spelling. A last row more says where the children of the last node end."""

HOT_STATE = np.dtype([("credit", np.float64), ("boost", np.float64)])
"""What a phrase that has begun counts for the time being, and those that end here for good."""


class Fusion(NamedTuple):
    """All that is added; without a model ``has_lm`` is false and the arrays are empty.

    Attributes:
        lm: (N + 1,) of :data:`deepspeech2.text.ngram.kernel.NODE`.
        spellings: (N + 1,) of ``SPELLING_NODE``.
        hot: (S,) of ``HOT_STATE``, the states of an automaton that notices phrases.
        hot_after: (S, V) int32, the next state.
        hot_start: the state at the beginning of an utterance.
        letters: (V,) int32, the code point of each token.
        weight: nats for each factor of ten of the language model's probability.
        word_score, unknown_score: nats for each word, and for each that the model lacks.
        space: the token between words.
        unknown, end: ids of ``<unk>`` and ``</s>``.
        start: the language model's state at the beginning.
        at_most: (V,) nats by which each token can raise the score of a prefix.
    """

    has_lm: bool
    has_hot: bool
    lm: NDArray[np.void]
    spellings: NDArray[np.void]
    hot: NDArray[np.void]
    hot_after: NDArray[np.int32]
    hot_start: int
    letters: NDArray[np.int32]
    weight: float
    word_score: float
    unknown_score: float
    space: int
    unknown: int
    end: int
    start: int
    at_most: NDArray[np.float64]


@compiled
def begin(fusion, tree, fused):
    """Set the root's states."""
    tree[0, CONTEXT] = fusion.start
    tree[0, SPELLING] = 0
    tree[0, HOT] = fusion.hot_start
    fused[0, SETTLED] = fused[0, TOTAL] = 0.0


@compiled
def extend(fusion, tree, fused, node, token):
    """Set the states and scores of a new ``node``, whose row is a copy of its parent's."""
    settled = fused[node, SETTLED]
    outlook = 0.0
    if fusion.has_lm:
        if token == fusion.space:
            if tree[node, SPELLING] != ROOT:
                gained, context = _complete(fusion, tree[node, CONTEXT], tree[node, SPELLING])
                settled += gained
                tree[node, CONTEXT] = context
                tree[node, SPELLING] = ROOT
        else:
            letter = fusion.letters[token]
            spelling = _spell_on(fusion.spellings, tree[node, SPELLING], letter)
            tree[node, SPELLING] = spelling
            outlook = _outlook(fusion, tree[node, CONTEXT], spelling)
    if fusion.has_hot:
        state = fusion.hot_after[tree[node, HOT], token]
        tree[node, HOT] = state
        settled += fusion.hot[state].boost
        outlook += fusion.hot[state].credit
    fused[node, SETTLED] = settled
    fused[node, TOTAL] = settled + outlook


@compiled
def finish(fusion, tree, fused, node):
    """What is added to the prefix ``node`` as a whole sentence."""
    settled = fused[node, SETTLED]
    if fusion.has_lm:
        context = tree[node, CONTEXT]
        if tree[node, SPELLING] != ROOT:
            gained, context = _complete(fusion, context, tree[node, SPELLING])
            settled += gained
        probability, _ = advance(fusion.lm, context, fusion.end)
        settled += fusion.weight * probability
    if fusion.has_hot and fusion.space > 0 and tree[node, HOT] >= 0:
        settled += fusion.hot[fusion.hot_after[tree[node, HOT], fusion.space]].boost
    return settled


@compiled
def _complete(fusion, context, spelling):
    """Nats for the word that ends here, and the context after it."""
    word = fusion.spellings[spelling].word if spelling != NONE else NONE
    score = fusion.word_score
    if word == NONE:
        word = fusion.unknown
        score += fusion.unknown_score
    probability, context = advance(fusion.lm, context, word)
    return score + fusion.weight * probability, context


@compiled
def _spell_on(spellings, spelling, letter):
    """The node of the spelling with one more letter; NONE if no word begins so."""
    if spelling == NONE:
        return NONE
    start, end = spellings[spelling].first_child, spellings[spelling + 1].first_child
    after = end
    while start < end:
        middle = (start + end) >> 1
        if spellings[middle].letter < letter:
            start = middle + 1
        else:
            end = middle
    return start if start < after and spellings[start].letter == letter else NONE


@compiled
def _outlook(fusion, context, spelling):
    """Nats that the word which has begun can still be worth."""
    lm = fusion.lm
    best = -np.inf
    weight = 0.0
    while context != ROOT:
        if spelling != NONE:
            end = lm[context + 1].first_child
            first = fusion.spellings[spelling].first
            child = lower_bound(lm, lm[context].first_child, end, first)
            last = fusion.spellings[spelling].last
            while child < end and lm[child].word < last:
                best = max(best, weight + lm[child].log10_probability)
                child += 1
        weight += lm[context].log10_backoff
        context = lm[context].suffix
    if spelling != NONE:
        best = max(best, weight + fusion.spellings[spelling].outlook)
    unknown = weight + lm[1 + fusion.unknown].log10_probability
    score = fusion.weight * unknown + fusion.unknown_score
    if best > -np.inf:
        score = max(score, fusion.weight * best)
    return fusion.word_score + score
