"""Loose alignment: the kernel is the best of all paths; known parts are found."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, product

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepspeech2.decoding import loose
from deepspeech2.decoding.anchors import LENGTH, anchors
from deepspeech2.decoding.kernels.loose import GAP, best_states
from deepspeech2.decoding.loose import LEFT_OUT, align_loosely
from deepspeech2.errors import AudioError, ManifestError
from deepspeech2.text import TextEncoder

LETTERS = "abcdefghijklmnopqrstuvwxyz"
STRANGE = {"zxqv", "jjwk", "qqpf", "xyzzyx"}
PROSE = (
    "the tide had left a ring of foam around the harbour and two boys were pulling their boat "
    "over pebbles towards the shed where old martin kept his nets while gulls quarrelled above "
    "a bucket of heads and tails that somebody had forgotten beside the wooden steps"
)


def paths(words: list[list[int]], n_frames: int) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Every way to say some of the words in ``n_frames``, by definition: in each frame a gap (-1)
    or a token, with the number of labels that are left out. What is left out takes a frame of a
    gap."""
    for said in product([False, True], repeat=len(words)):
        spoken = [word for word, chosen in zip(words, said, strict=True) if chosen]
        missing = sum(len(word) for word, chosen in zip(words, said, strict=True) if not chosen)
        for frames in product(range(-1, 3), repeat=n_frames):
            runs = [
                token
                for token, before in zip(frames, (None, *frames[:-1]), strict=True)
                if token != before
            ]
            heads = said[0] or frames[0] == GAP
            if heads and (said[-1] or frames[-1] == GAP) and _spells(runs, spoken):
                yield missing, frames


def _spells(runs: list[int], words: list[list[int]]) -> bool:
    """Whether runs of equal frames read ``words`` with a gap between neighbours; 0 is a blank."""
    found: list[list[int]] = [[]]
    for run in runs:
        if run == GAP:
            found.append([])
        else:
            found[-1].append(run)
    parts = [part for part in found if part]
    return len(parts) == len(words) and all(
        part[0] != 0 and part[-1] != 0 and [token for token in part if token] == word
        for part, word in zip(parts, words, strict=True)
    )


def best_score(
    frames: npt.NDArray[np.float32], gaps: npt.NDArray[np.float32], words: list[list[int]]
) -> float:
    return max(
        -1.5 * missing + sum(gaps[i] if t == GAP else frames[i, t] for i, t in enumerate(path))
        for missing, path in paths(words, len(frames))
    )


def test_the_kernel_finds_the_best_of_all_paths_within_bounds() -> None:
    """No path whose words are within their bounds, and begin a frame later, is better."""
    words = [[1], [2, 1], [2]]
    tokens, jumps, skips, owners = loose._states(words)
    gaps_at = np.flatnonzero(tokens == GAP).astype(np.int32)
    own = np.where(tokens == GAP, GAP, np.arange(len(tokens))).astype(np.int32)
    for seed in range(60):
        draw = np.random.default_rng(seed)
        n_frames = int(draw.integers(1, 12))
        frames = draw.normal(0, 1, (n_frames, 3)).astype(np.float32)
        gaps = draw.normal(-1, 1, n_frames).astype(np.float32)
        earliest = np.sort(draw.integers(-2, n_frames, 3))
        latest = np.sort(earliest + draw.integers(1, 6, 3))
        order = np.arange(n_frames)
        low = gaps_at[np.searchsorted(latest, order, side="right")]
        high = gaps_at[np.searchsorted(earliest, order, side="right")] + np.int32(1)
        high[-1] = len(tokens)
        whole = np.zeros(n_frames, np.int32), np.full(n_frames, len(tokens), np.int32)
        scores = []
        for later in (1, 0):
            # a token for each state, which costs too much in other frames
            dear = np.where(tokens == GAP, gaps[:, None], frames[:, tokens]).astype(np.float32)
            inside = (order[:, None] >= earliest[owners] + later) & (
                order[:, None] < latest[owners]
            )
            dear[~inside & (tokens != GAP)] = -1e6
            scores.append(best_states(dear, gaps, own, jumps, skips, *whole, 3)[1])
        for spacing in (1, 4):
            found, total = best_states(frames, gaps, tokens, jumps, skips, low, high, spacing)
            assert scores[0] - 1e-4 <= total <= scores[1] + 1e-4
            assert (inside[order, found] | (tokens[found] == GAP)).all()


@pytest.mark.parametrize(
    "words", [[[1]], [[1, 2]], [[1, 1]], [[1], [2]], [[1], [1]], [[2, 1], [1]], [[1], [2], [1]]]
)
@pytest.mark.parametrize("n_frames", [1, 3, 5])
def test_the_kernel_finds_the_best_of_all_paths(words: list[list[int]], n_frames: int) -> None:
    tokens, jumps, skips, owners = loose._states(words)
    skips = skips * np.float32(1.5 / loose.UNSAID)
    for seed in range(5):
        draw = np.random.default_rng(seed)
        frames = draw.normal(0, 2, (n_frames, 3)).astype(np.float32)
        gaps = draw.normal(0, 2, n_frames).astype(np.float32)
        expected = best_score(frames, gaps, words)
        states = {}
        for spacing in (1, 2, 7):
            low, high = np.zeros(n_frames, np.int32), np.full(n_frames, len(tokens), np.int32)
            states[spacing], total = best_states(
                frames, gaps, tokens, jumps, skips, low, high, spacing
            )
            assert total == pytest.approx(expected, abs=1e-4)
        assert (states[1] == states[2]).all()
        assert (states[1] == states[7]).all()
        assert len(owners) == len(tokens)


def emissions(heard: str, hold: int = 1, blanks: int = 1, sure: float = 0.99999) -> torch.Tensor:
    """Log-probabilities of a network that hears ``heard``, each letter for some frames."""
    encoder = TextEncoder()
    rows = [0] * blanks
    for label in encoder.encode(heard):
        rows += [label] * hold + [0] * blanks
    probabilities = torch.full((len(rows), encoder.n_tokens), (1 - sure) / (encoder.n_tokens - 1))
    probabilities[torch.arange(len(rows)), torch.tensor(rows)] = sure
    return probabilities.log()


def said(found: loose.LooseAlignment) -> str:
    return " ".join(
        word for word, start in zip(found.words, found.start, strict=True) if start != LEFT_OUT
    )


def test_all_words_of_what_is_said_are_found_where_they_are() -> None:
    found = align_loosely(emissions(PROSE), PROSE.title(), TextEncoder())
    assert found.words == tuple(PROSE.split())
    place = 0
    for word, start, end in zip(found.words, found.start, found.end, strict=True):
        assert (start, end) == (2 * place + 1, 2 * (place + len(word)))
        place += len(word) + 1
    assert found.cost.max() == pytest.approx(0, abs=1e-6)
    assert found.passed_over[-1] == pytest.approx(0, abs=1e-6)


@given(dropped=st.integers(0, 10), added=st.integers(0, 40), changed=st.integers(0, 40))
def test_what_is_not_said_is_left_out_and_what_is_not_written_passed_over(
    dropped: int, added: int, changed: int
) -> None:
    words = PROSE.split()
    heard = words[:12] + words[12 + dropped :]
    text = [*words[:added], "zxqv", "jjwk", "qqpf", *words[added:]]
    place = changed if changed < added else changed + 3
    text[place] = "xyzzyx"
    found = align_loosely(emissions(" ".join(heard)), " ".join(text), TextEncoder())
    places = [place for place, word in enumerate(text) if word not in STRANGE]
    numbers = [place if place < added else place - 3 for place in places]
    right = [
        place
        for place, number in zip(places, numbers, strict=True)
        if not 12 <= number < 12 + dropped
    ]
    # a word that is not said may be found in one that is not written ("the" in "shed"), at a cost
    assert np.flatnonzero(found.cost < 0.1).tolist() == right


def test_the_prices_decide() -> None:
    """One strange label is passed over, and its price is at most ``UNWRITTEN``."""
    heard = "ab cd xx ef gh"
    found = align_loosely(emissions(heard), "ab cd ef gh", TextEncoder())
    assert said(found) == "ab cd ef gh"
    assert found.passed_over[-1] == pytest.approx(2 * loose.UNWRITTEN, rel=1e-3)


def test_parts_between_anchors_are_as_good_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    log_probs = emissions(PROSE) + 0.5 * torch.randn(
        2 * len(PROSE) + 1, 29, generator=torch.Generator().manual_seed(0)
    )
    log_probs = log_probs.log_softmax(dim=1)
    divided = align_loosely(log_probs, PROSE, TextEncoder())
    cuts = loose._Search(log_probs, PROSE, TextEncoder()).anchors()
    assert cuts
    monkeypatch.setattr(loose, "anchors", lambda heard, text: [])
    whole = align_loosely(log_probs, PROSE, TextEncoder())
    np.testing.assert_array_equal(divided.start, whole.start)
    np.testing.assert_allclose(divided.cost, whole.cost, atol=1e-5)


REFRAIN = "row your boat gently down the stream"


@pytest.mark.parametrize("anchored", [True, False])
@pytest.mark.parametrize("shift", [0.0, -300.0, 300.0])
def test_subtitles_tell_which_of_equal_sentences_is_said(
    shift: float, anchored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refrain is said once, where its second subtitle is; each letter takes two frames."""
    first, second, third = PROSE[:83], PROSE[84:166], PROSE[167:]
    heard = f"{first} {second} {REFRAIN} {third}"
    text = f"{first} {REFRAIN} {second} {REFRAIN} {third}"
    pieces = [first, REFRAIN, second, REFRAIN, third]
    starts = [0, 0, len(first) + 1, len(first) + len(second) + 2, len(heard) - len(third)]
    starts[1] = len(first) - len(REFRAIN)
    shown = [
        (2 * start + shift, 2 * (start + len(piece)) + shift)
        for start, piece in zip(starts, pieces, strict=True)
        for _ in piece.split()
    ]
    if not anchored:
        monkeypatch.setattr(loose, "anchors", lambda heard, text: [])
    log_probs = emissions(heard)
    found = align_loosely(log_probs, text, TextEncoder(), shown=np.array(shown), tolerance=20.0)
    assert found.bounded
    one = len(first.split())
    two = one + len(REFRAIN.split()) + len(second.split())
    size = len(REFRAIN.split())
    assert (found.start[one : one + size] == LEFT_OUT).all()
    assert (found.cost[two : two + size] < 0.1).all()
    assert (found.cost[:one] < 0.1).all()


def test_times_of_another_recording_are_not_used() -> None:
    draw = np.random.default_rng(1)
    shown = draw.uniform(0, 9000, (len(PROSE.split()), 1)).repeat(2, axis=1)
    found = align_loosely(emissions(PROSE * 3), PROSE, TextEncoder(), shown=shown, tolerance=10.0)
    assert not found.bounded


def test_anchors_are_in_both_texts_and_ascend() -> None:
    heard = PROSE.replace("martin kept his nets while", "mrtn kep is net wile")
    found = anchors(heard, "a foreword that nobody reads " + PROSE)
    assert found
    for left, right in pairwise(found):
        assert left[0] < right[0]
        assert left[1] < right[1]
    for place, other in found:
        assert heard[place] == " "
        assert (
            heard[place - 2 : place + 3]
            == ("a foreword that nobody reads " + PROSE)[other - 2 : other + 3]
        )


def test_a_phrase_that_stands_alone_is_no_anchor() -> None:
    phrase = "at the end of "
    assert len(phrase) < 2 * LENGTH
    assert not anchors(LETTERS * 3 + phrase + "0123456789" * 9, "()" * 50 + phrase + "[]" * 50)


@pytest.mark.parametrize(
    ("text", "alphabet", "n_frames", "error", "message"),
    [
        ("...", " abc", 9, ManifestError, "at least one word"),
        ("ab", "abc", 9, ManifestError, "no space"),
        ("ab", " abc", 0, AudioError, "no frame"),
        ("ж", " abc", 9, ManifestError, "'ж'"),
    ],
)
def test_what_cannot_be_aligned(
    text: str, alphabet: str, n_frames: int, error: type[Exception], message: str
) -> None:
    encoder = TextEncoder(alphabet)
    log_probs = torch.zeros(n_frames, encoder.n_tokens)
    with pytest.raises(error, match=message):
        align_loosely(log_probs, text, encoder)


def test_a_long_stretch_without_agreement_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    before, behind = PROSE.split(" gulls ")[0], "gulls " + PROSE.split(" gulls ")[1]
    foreign = "zq xv jjwk qqpf " * 30
    heard = f"{before} {'kxq wvz pfj ' * 50}{behind}"
    monkeypatch.setattr(loose, "_MOST", 400_000)
    found = align_loosely(emissions(heard), f"{before} {foreign}{behind}", TextEncoder())
    (part,) = found.unsearched
    assert (found.start[part.first : part.last] == LEFT_OUT).all()
    assert {"zq", "xv", "jjwk", "qqpf"} <= set(found.words[part.first : part.last])
    near = set(found.words[part.first : part.last]) - {"zq", "xv", "jjwk", "qqpf"}
    assert len(near) <= 12  # up to the next anchor on either side
    outside = [*range(part.first), *range(part.last, len(found.words))]
    assert (found.cost[outside] < 0.1).all()
    assert found.passed_over[part.end] - found.passed_over[part.start] > 100
    # in what can be searched nothing is passed over
    monkeypatch.setattr(loose, "_MOST", 2**34)
    assert align_loosely(emissions(heard), before + behind, TextEncoder()).unsearched == ()


def test_too_much_that_has_nothing_in_common(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loose, "_MOST", 1000)
    with pytest.raises(AudioError, match="nothing in common"):
        align_loosely(emissions(PROSE), "zq " * 99, TextEncoder())
