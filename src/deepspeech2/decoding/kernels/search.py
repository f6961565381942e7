"""CTC prefix beam search of one utterance.

A. Graves, Supervised Sequence Labelling with Recurrent Neural Networks, 2012, section 7.5.3;
A. Hannun et al., First-Pass Large Vocabulary Continuous Speech Recognition using Bi-Directional
Recurrent DNNs, 2014, algorithm 1. Here in the log domain, over a tree of prefixes, so that a
prefix which left the beam and comes back is the same prefix. Extensions that cannot enter the
beam are passed over without being scored: this changes no result.
"""

# What Numba compiles carries no types.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import math

import numpy as np

from deepspeech2.decoding.kernels.prefixes import (
    NONE,
    PARENT,
    SLOT,
    TOKEN,
    TOTAL,
    begin,
    child_of,
    extend,
    finish,
    grow,
    plant,
    with_room,
)
from deepspeech2.jit import compiled

BLANK = 0


@compiled
def log_add(left, right):
    """Logarithm of the sum of two probabilities."""
    if left < right:
        left, right = right, left
    difference = right - left
    if not difference > -37.0:  # below double precision, or both -inf
        return left
    return left + math.log1p(math.exp(difference))


@compiled
def search(frames, beam_size, beam_threshold, nbest, fusion):
    """The best prefixes of one utterance.

    Args:
        frames: (T, V) float64 log-probabilities, -inf for tokens that are not considered.
        beam_size: prefixes to keep in each frame, K.
        beam_threshold: drop a prefix that is worse than the best by more than this; inf: none.
        nbest: how many to return.
        fusion: :class:`deepspeech2.decoding.kernels.prefixes.Fusion`.

    Returns:
        (N,) scores, best first; (N,) lengths; (N, L) labels, N at most ``nbest``.
    """
    n_tokens = frames.shape[1]
    tree, fused, heads = plant(1024)
    begin(fusion, tree, fused)
    n_nodes = n_beams = 1
    # for each beam: node; log-probability of ending in a blank, in a label, of both
    nodes = np.zeros(beam_size, dtype=np.int32)
    next_nodes = np.zeros(beam_size, dtype=np.int32)
    parts = np.full((3, beam_size), -np.inf)
    next_parts = np.full((3, beam_size), -np.inf)
    parts[0, 0] = parts[2, 0] = 0.0
    # candidates: the beams as they stay, then extensions; (slot, token) of each
    origins = np.empty((beam_size * n_tokens, 2), dtype=np.int32)
    scores = np.empty((beam_size * n_tokens, 2))
    order = np.empty(beam_size, dtype=np.int32)
    # the frame in which the beam of a slot with a token more was a beam as well
    taken = np.full((beam_size, n_tokens), NONE, dtype=np.int32)
    for index, frame in enumerate(frames):
        tree, fused, heads = with_room(tree, fused, heads, n_nodes, beam_size * n_tokens)
        for slot in range(n_beams):
            tree[nodes[slot], SLOT] = slot
        n_order = _stay(
            index, frame, tree, fused, nodes, parts, n_beams, next_parts, scores, order, taken
        )
        n_nodes, n_order = _extend_all(
            index, frame, tree, fused, heads, n_nodes, nodes, parts, n_beams, origins, scores,
            order, n_order, taken, fusion,
        )  # fmt: skip
        for slot in range(n_beams):
            tree[nodes[slot], SLOT] = NONE
        n_nodes, n_beams = _select(
            tree, fused, heads, n_nodes, nodes, n_beams, next_parts, origins, scores, order,
            n_order, beam_threshold, next_nodes, parts,
        )  # fmt: skip
        nodes, next_nodes = next_nodes, nodes
    return _results(tree, fused, nodes, parts[2], n_beams, nbest, fusion)


@compiled
def _stay(index, frame, tree, fused, nodes, parts, n_beams, stayed, scores, order, taken):
    """Score the beams as they are after ``frame``: through a blank or their last label again.

    A beam that another extends to takes that probability over.
    """
    n_order = 0
    for slot, node in enumerate(nodes[:n_beams]):
        blank = parts[2, slot] + frame[BLANK]
        label = -np.inf
        if node > 0:
            token, parent = tree[node, TOKEN], tree[node, PARENT]
            label = parts[1, slot] + frame[token]
            came = tree[parent, SLOT]
            if came != NONE:
                taken[came, token] = index
                # the same label again extends a prefix only after a blank
                before = parts[0, came] if tree[parent, TOKEN] == token else parts[2, came]
                label = log_add(label, before + frame[token])
        stayed[0, slot] = blank
        stayed[1, slot] = label
        stayed[2, slot] = log_add(blank, label)
        scores[slot, 0] = stayed[2, slot]
        scores[slot, 1] = stayed[2, slot] + fused[node, TOTAL]
        if scores[slot, 1] > -np.inf:
            n_order = _insert(order, n_order, scores, slot)
    return n_order


@compiled
def _insert(order, n_order, scores, candidate):
    """Put a candidate in its place among the best, which fall towards the end."""
    place = min(n_order, len(order) - 1)
    score = scores[candidate, 1]
    if n_order == len(order) and not score > scores[order[place], 1]:
        return n_order
    while place > 0 and scores[order[place - 1], 1] < score:
        order[place] = order[place - 1]
        place -= 1
    order[place] = candidate
    return min(n_order + 1, len(order))


@compiled
def _extend_all(
    index, frame, tree, fused, heads, n_nodes, nodes, parts, n_beams, origins, scores, order,
    n_order, taken, fusion,
):  # fmt: skip
    """Score the extensions of all beams that may be among the best."""
    n_candidates, fuses = n_beams, fusion.has_lm or fusion.has_hot
    for token in range(1, len(frame)):
        emission, at_most = frame[token], fusion.at_most[token]
        if emission == -np.inf:
            continue
        for slot in range(n_beams):
            node = nodes[slot]
            bar = scores[order[n_order - 1], 1] if n_order == len(order) else -np.inf
            most = parts[2, slot] + emission + fused[node, TOTAL] + at_most
            if most <= bar:
                break  # the beams' scores fall with the slot
            if taken[slot, token] == index:
                continue  # by a beam, which has this probability already
            acoustic = parts[0, slot] if tree[node, TOKEN] == token else parts[2, slot]
            acoustic += emission
            if acoustic == -np.inf or acoustic + fused[node, TOTAL] + at_most <= bar:
                continue
            total = acoustic
            if fuses:
                child = child_of(tree, heads, node, token)
                if child == NONE:
                    child = grow(tree, fused, heads, n_nodes, node, token)
                    n_nodes += 1
                    extend(fusion, tree, fused, child, token)
                total += fused[child, TOTAL]
                if total == -np.inf:
                    continue
            origins[n_candidates, 0] = slot
            origins[n_candidates, 1] = token
            scores[n_candidates, 0] = acoustic
            scores[n_candidates, 1] = total
            n_order = _insert(order, n_order, scores, n_candidates)
            n_candidates += 1
    return n_nodes, n_order


@compiled
def _select(
    tree, fused, heads, n_nodes, nodes, n_beams, stayed, origins, scores, order, n_order,
    beam_threshold, next_nodes, next_parts,
):  # fmt: skip
    """Write the best candidates as the beams of the next frame, best first."""
    least = scores[order[0], 1] - beam_threshold if n_order else 0.0
    chosen = 0
    for place in range(n_order):
        candidate = order[place]
        if scores[candidate, 1] < least:
            break
        if candidate < n_beams:
            next_nodes[place] = nodes[candidate]
            next_parts[0, place] = stayed[0, candidate]
            next_parts[1, place] = stayed[1, candidate]
        else:
            parent, token = nodes[origins[candidate, 0]], origins[candidate, 1]
            child = child_of(tree, heads, parent, token)
            if child == NONE:
                child = grow(tree, fused, heads, n_nodes, parent, token)
                n_nodes += 1
            next_nodes[place] = child
            next_parts[0, place] = -np.inf
            next_parts[1, place] = scores[candidate, 0]
        next_parts[2, place] = scores[candidate, 0]
        chosen += 1
    return n_nodes, chosen


@compiled
def _results(tree, fused, nodes, acoustic, n_beams, nbest, fusion):
    """Finish the sentences, rank them and spell out the best."""
    finals = np.empty((n_beams, 2))  # as _insert takes them
    possible = False
    for slot in range(n_beams):
        finals[slot, 1] = acoustic[slot] + finish(fusion, tree, fused, nodes[slot])
        if finals[slot, 1] > -np.inf:
            possible = True
    if not possible:
        # no beam ends in a word of the lexicon: the best that there is
        for slot in range(n_beams):
            finals[slot, 1] = acoustic[slot] + fused[nodes[slot], TOTAL]
    ranked = np.empty(min(nbest, n_beams), dtype=np.int32)
    n_ranked = 0
    for slot in range(n_beams):
        n_ranked = _insert(ranked, n_ranked, finals, slot)
    scores = np.empty(n_ranked)
    lengths = np.zeros(n_ranked, dtype=np.int64)
    longest = 0
    for rank in range(n_ranked):
        scores[rank] = finals[ranked[rank], 1]
        node = nodes[ranked[rank]]
        while node > 0:
            lengths[rank] += 1
            node = tree[node, PARENT]
        longest = max(longest, lengths[rank])
    labels = np.zeros((n_ranked, longest), dtype=np.int64)
    for rank in range(n_ranked):
        node = nodes[ranked[rank]]
        for index in range(lengths[rank] - 1, -1, -1):
            labels[rank, index] = tree[node, TOKEN]
            node = tree[node, PARENT]
    return scores, lengths, labels
