"""Walking through a back-off model: machine code that the beam search calls as well.

A model is a trie of n-grams read from the first word to the last. Node 0 is the empty context,
nodes 1 ... W are the words, then come the 2-grams, and so on; the children of a node follow
each other, by ascending word. A state is the node of the longest known context.
"""

# What Numba compiles carries no types.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np

from deepspeech2.jit import compiled

ROOT = 0

NODE = np.dtype(
    [
        ("word", np.int32),
        ("suffix", np.int32),
        ("first_child", np.int32),
        ("log10_probability", np.float32),
        ("log10_backoff", np.float32),
    ]
)
"""A node: the last word of its n-gram; the node of the longest known n-gram that this one ends
with; where its children begin, which end where those of the next node begin; the probability of
its last word after the others; its weight as a context that is left.

An array of N nodes has one more row, in which only ``first_child`` counts."""


@compiled
def lower_bound(nodes, start, end, word):
    """The first of the children ``start`` ... ``end - 1`` whose word is ``word`` or a later one."""
    while start < end:
        middle = (start + end) >> 1
        if nodes[middle].word < word:
            start = middle + 1
        else:
            end = middle
    return start


@compiled
def advance(nodes, state, word):
    """Base-10 logarithm of the probability of ``word`` after ``state``, and the state after it.

    Where the model lacks an n-gram, the context loses its first word and its back-off weight
    counts (S. Katz, Estimation of probabilities from sparse data, 1987, as ARPA files say it).
    """
    weight = 0.0
    while True:
        if state == ROOT:
            node = 1 + word
            break
        end = nodes[state + 1].first_child
        node = lower_bound(nodes, nodes[state].first_child, end, word)
        if node < end and nodes[node].word == word:
            break
        weight += nodes[state].log10_backoff
        state = nodes[state].suffix
    probability = weight + nodes[node].log10_probability
    # A context that nothing follows and that costs nothing is as good as its suffix.
    while (
        node != ROOT
        and nodes[node].first_child == nodes[node + 1].first_child
        and nodes[node].log10_backoff == 0.0
    ):
        node = nodes[node].suffix
    return probability, node


@compiled
def walk(nodes, state, words, probabilities):
    """Write the log10 probability of each of ``words`` to ``probabilities``; the last state."""
    for index in range(len(words)):
        probabilities[index], state = advance(nodes, state, words[index])
    return state
