"""The tree of prefixes that one search has met, and what is added to their scores.

A node is a row of two arrays: ``tree`` (N, 8) int32 with the columns below, and ``fused`` (N, 2)
float64 with what the language model and hot words add to the prefix: what is settled, and that
with the outlook of the word that has begun. Children are found through ``heads``, a hash table of
lists that go on in the column ``NEXT``: a prefix may have as many as there are tokens.

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

from deepspeech2.jit import compiled
from deepspeech2.text.ngram.kernel import NODE, ROOT, advance, lower_bound

PARENT, TOKEN, NEXT, SLOT, CONTEXT, SPELLING, HOT, _COLUMNS = range(8)
SETTLED, TOTAL = range(2)
NONE = -1

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
"""Nats: what a phrase that has begun counts until it breaks off, and what ends here."""


class Fusion(NamedTuple):
    """All that is added; without a model or hot words their arrays are empty.

    Attributes:
        lm: (N + 1,) of :data:`deepspeech2.text.ngram.kernel.NODE`.
        spellings: (N + 1,) of ``SPELLING_NODE``.
        hot: (S,) of ``HOT_STATE``, the states of an automaton that notices phrases.
        hot_after: (S, C) int32, the next state after each character.
        letters: (N,) int32, the characters of all tokens, one token after the other, as numbers
            from 0 to C - 1.
        bounds: (V + 1,) int32, where each token's characters begin, and where the last ones end.
        codes: (C,) int32, the code point of each character.
        at_most: (V,) nats by which each token can raise the score of a prefix.
        has_lm, has_hot: whether there is a model, and whether there are hot words.
        hot_start: the automaton's state at the beginning of an utterance.
        weight: nats for each factor of ten of the language model's probability.
        word_score, unknown_score: nats for each word, and for each that the model lacks.
        space: the character between words; NONE if there is none.
        unknown, end: ids of ``<unk>`` and ``</s>``.
        start: the language model's state at the beginning.
    """

    lm: NDArray[np.void]
    spellings: NDArray[np.void]
    hot: NDArray[np.void]
    hot_after: NDArray[np.int32]
    letters: NDArray[np.int32]
    bounds: NDArray[np.int32]
    codes: NDArray[np.int32]
    at_most: NDArray[np.float64]
    has_lm: bool = False
    has_hot: bool = False
    hot_start: int = 0
    weight: float = 0.0
    word_score: float = 0.0
    unknown_score: float = 0.0
    space: int = NONE
    unknown: int = 0
    end: int = 0
    start: int = 0


def no_fusion(n_tokens: int) -> Fusion:
    """Return a fusion that adds nothing: neither language model nor hot words."""
    return Fusion(
        lm=np.zeros(1, NODE),
        spellings=np.zeros(1, SPELLING_NODE),
        hot=np.zeros(1, HOT_STATE),
        hot_after=np.zeros((1, 1), np.int32),
        letters=np.zeros(1, np.int32),
        bounds=np.zeros(n_tokens + 1, np.int32),
        codes=np.zeros(1, np.int32),
        at_most=np.zeros(n_tokens),
    )


@compiled
def plant(capacity):
    """Arrays of a tree with its root, the empty prefix."""
    tree = np.empty((capacity, _COLUMNS), dtype=np.int32)
    fused = np.empty((capacity, 2), dtype=np.float64)
    tree[0, PARENT] = tree[0, NEXT] = tree[0, SLOT] = NONE
    tree[0, TOKEN] = 0
    return tree, fused, _heads(capacity)


@compiled
def _heads(capacity):
    """An empty hash table for ``capacity`` nodes; its length is a power of two."""
    length = 1
    while length < capacity:
        length <<= 1
    return np.full(length, NONE, dtype=np.int32)


@compiled
def with_room(tree, fused, heads, n_nodes, n_more):
    """The same arrays, or larger copies of them that take ``n_more`` nodes."""
    if n_nodes + n_more <= len(tree):
        return tree, fused, heads
    capacity = 2 * (n_nodes + n_more)
    larger = np.empty((capacity, tree.shape[1]), dtype=np.int32)
    heavier = np.empty((capacity, fused.shape[1]), dtype=np.float64)
    for node in range(n_nodes):  # loops compile much faster than assignments of slices
        for column in range(tree.shape[1]):
            larger[node, column] = tree[node, column]
        for column in range(fused.shape[1]):
            heavier[node, column] = fused[node, column]
    heads = _heads(n_nodes + n_more)
    for node in range(1, n_nodes):
        _enter(larger, heads, node)
    return larger, heavier, heads


@compiled
def _place(heads, node, token):
    """Where the list with ``node``'s child by ``token`` begins: beside its other children's."""
    return (np.int64(node) * 0x1E3779B1 + token) & (len(heads) - 1)


@compiled
def _enter(tree, heads, child):
    place = _place(heads, tree[child, PARENT], tree[child, TOKEN])
    tree[child, NEXT] = heads[place]
    heads[place] = child


@compiled
def child_of(tree, heads, node, token):
    """The node of the prefix that ``token`` extends ``node`` to; NONE if it was never met."""
    child = heads[_place(heads, node, token)]
    while child != NONE and (tree[child, PARENT] != node or tree[child, TOKEN] != token):
        child = tree[child, NEXT]
    return child


@compiled
def grow(tree, fused, heads, n_nodes, node, token):
    """Add that node, as number ``n_nodes``; it adds no score yet."""
    tree[n_nodes, PARENT] = node
    tree[n_nodes, TOKEN] = token
    tree[n_nodes, SLOT] = NONE
    tree[n_nodes, CONTEXT] = tree[node, CONTEXT]
    tree[n_nodes, SPELLING] = tree[node, SPELLING]
    tree[n_nodes, HOT] = tree[node, HOT]
    fused[n_nodes, SETTLED] = fused[node, SETTLED]
    fused[n_nodes, TOTAL] = fused[node, TOTAL]
    _enter(tree, heads, n_nodes)
    return n_nodes


@compiled
def begin(fusion, tree, fused):
    """Set the root's states."""
    tree[0, CONTEXT] = fusion.start
    tree[0, SPELLING] = 0
    tree[0, HOT] = fusion.hot_start
    fused[0, SETTLED] = fused[0, TOTAL] = 0.0


@compiled
def extend(fusion, tree, fused, node, token):
    """Set the states and scores of a new ``node``, whose row is a copy of its parent's.

    The token's characters count one by one, so that a text has one score however it is divided
    into tokens; of several spaces in a row the first counts.
    """
    settled = fused[node, SETTLED]
    context, spelling, state = tree[node, CONTEXT], tree[node, SPELLING], tree[node, HOT]
    after_space = _ends_in_space(fusion, tree[tree[node, PARENT], TOKEN])
    for place in range(fusion.bounds[token], fusion.bounds[token + 1]):
        letter = fusion.letters[place]
        is_space = letter == fusion.space
        if is_space and after_space:
            continue
        after_space = is_space
        if fusion.has_lm:
            if not is_space:
                spelling = _spell_on(fusion.spellings, spelling, fusion.codes[letter])
            elif spelling != ROOT:
                gained, context = _complete(fusion, context, spelling)
                settled += gained
                spelling = ROOT
        if fusion.has_hot:
            state = fusion.hot_after[state, letter]
            settled += fusion.hot[state].boost
    outlook = 0.0
    if fusion.has_lm and spelling != ROOT:
        outlook = _outlook(fusion, context, spelling)
    if fusion.has_hot:
        outlook += fusion.hot[state].credit
    tree[node, CONTEXT], tree[node, SPELLING], tree[node, HOT] = context, spelling, state
    fused[node, SETTLED] = settled
    fused[node, TOTAL] = settled + outlook


@compiled
def _ends_in_space(fusion, token):
    """Whether a word may begin after ``token``; the blank is the token of the empty prefix."""
    end = fusion.bounds[token + 1]
    return end == fusion.bounds[token] or fusion.letters[end - 1] == fusion.space


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
    ends = fusion.has_hot and fusion.space != NONE
    if ends and not _ends_in_space(fusion, tree[node, TOKEN]):
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
