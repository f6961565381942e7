"""The best path of a stream in pieces against greedy decoding of the whole."""

from __future__ import annotations

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepspeech2.decoding import GreedyDecoder
from deepspeech2.inference.streaming import BestPath, appended
from deepspeech2.text import TextEncoder
from deepspeech2.types import Padded

ENCODER = TextEncoder(" ab")


@settings(max_examples=100)
@given(st.lists(st.lists(st.integers(0, 3), max_size=9), max_size=30), st.integers(0, 300))
def test_it_is_what_greedy_decoding_of_the_whole_gives(tokens: list[list[int]], first: int) -> None:
    path = BestPath()
    draw = torch.Generator().manual_seed(len(tokens))
    parts = []
    for some in tokens:
        log_probs = torch.rand(len(some), ENCODER.n_tokens, generator=draw)
        log_probs[torch.arange(len(some)), torch.tensor(some, dtype=torch.int64)] += 2.0
        parts.append(log_probs.log_softmax(dim=1))
        if some:
            path = path.extended(parts[-1], ENCODER)
    frames = sum(map(len, parts))
    if not frames:
        assert path == BestPath()
        return
    expected = GreedyDecoder(ENCODER)(Padded.stack([torch.cat(parts)]))[0][0]
    found = path.hypothesis(ENCODER)
    assert path.n_frames == frames
    assert path.text == found.text == expected.text
    assert (found.labels, found.frames) == (expected.labels, expected.frames)
    torch.testing.assert_close(found.confidences, expected.confidences)
    rest = path.hypothesis(ENCODER, first)
    kept = [place for place, frame in enumerate(expected.frames) if frame >= first]
    assert rest.labels == tuple(expected.labels[place] for place in kept)
    assert rest.text == " ".join(ENCODER.decode(rest.labels).split())


def test_pieces_stay_few_and_each_is_copied_few_times() -> None:
    """However long a stream is: what a chunk costs may not grow with what came before it."""
    copied = 0

    def join(two: list[list[int]]) -> list[int]:
        nonlocal copied
        copied += sum(map(len, two))
        return [number for part in two for number in part]

    pieces: tuple[list[int], ...] = ()
    for number in range(10_000):
        pieces = appended(pieces, [number], len, join)  # type: ignore[arg-type]
        assert len(pieces) <= math.log2(number + 1) + 1
    assert [number for piece in pieces for number in piece] == list(range(10_000))
    assert copied <= 10_000 * math.log2(10_000)
