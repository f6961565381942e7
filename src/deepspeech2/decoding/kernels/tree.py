"""The tree of prefixes that one search has met.

A node is a row of two arrays: ``tree`` (N, 8) int32 with the columns below, and ``fused`` (N, 2)
float64 with what the language model and hot words add to the prefix: what is settled, and that
with the outlook of the word that has begun. Children are found through ``heads``, a hash table of
lists that go on in the column ``NEXT``: a prefix may have as many as the alphabet has characters.
"""

# What Numba compiles carries no types.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np

from deepspeech2.jit import compiled

PARENT, TOKEN, NEXT, SLOT, CONTEXT, SPELLING, HOT, _COLUMNS = range(8)
SETTLED, TOTAL = range(2)
NONE = -1


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
    """An empty hash table for so many nodes; its length is a power of two."""
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
def depth(tree, node):
    """How many labels a prefix has."""
    length = 0
    while node > 0:
        length += 1
        node = tree[node, PARENT]
    return length


@compiled
def spell(tree, node, labels, row):
    """Write the labels of a prefix to the beginning of ``labels[row]``."""
    for index in range(depth(tree, node) - 1, -1, -1):
        labels[row, index] = tree[node, TOKEN]
        node = tree[node, PARENT]
