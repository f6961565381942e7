"""Forced alignment: the path of our own Viterbi search, and times that stay inside the audio."""

from __future__ import annotations

import math
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from deepspeech2.decoding.align import Alignment, align
from deepspeech2.decoding.kernels.frames import emission_frames
from deepspeech2.errors import AudioError, ConfigError, ManifestError
from deepspeech2.text import TextEncoder
from tests.decoding.ctc_oracle import best_alignment

ENCODER = TextEncoder(" abc")
TEXTS = ["a", "abc", "aa bb", "a a a", "cab  bac", "b", "aaaa", "abc cba abc", "c a"]


def random_log_probs(n_frames: int, seed: int, n_tokens: int = ENCODER.n_tokens) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n_frames, n_tokens, generator=generator, dtype=torch.float64)
    return (2 * logits).log_softmax(1)


def certain(path: str) -> Tensor:
    """(T, V) log-probabilities of 0.8 for the tokens of ``path``, in which ``_`` is blank."""
    tokens = torch.tensor(["_ abc".index(character) for character in path])
    probabilities = torch.full((len(path), ENCODER.n_tokens), 0.05, dtype=torch.float64)
    return probabilities.scatter(1, tokens[:, None], 0.8).log()


def aligned(log_probs: Tensor, text: str, **options: float) -> Alignment:
    arguments = {"seconds_per_frame": 1.0, **options}
    return align(log_probs, text, text_encoder=ENCODER, **arguments)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("seed", range(8))
def test_the_path_is_that_of_our_own_search(text: str, seed: int) -> None:
    labels = ENCODER.encode(text)
    log_probs = random_log_probs(ENCODER.minimum_frames(labels) + 3 * seed, seed)
    known = emission_frames(log_probs.numpy(), np.array(labels)).tolist()
    found = aligned(log_probs, text).characters
    expected = [frame for frame, label in zip(known, labels, strict=True) if label != ENCODER.space]
    # a frame begins half a frame before its middle, but not before the audio
    assert [character.start for character in found] == [max(0, frame - 0.5) for frame in expected]
    assert [character.character for character in found] == list(text.replace(" ", ""))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("text", ["ab", "aa", "a b"])
def test_the_score_is_that_of_the_best_of_all_paths(text: str, seed: int) -> None:
    log_probs = random_log_probs(6, seed)
    path = best_alignment(log_probs, tuple(ENCODER.encode(text)))
    score = sum(float(log_probs[frame, token]) for frame, token in enumerate(path))
    assert aligned(log_probs, text).score == pytest.approx(score, abs=1e-12)


@pytest.mark.parametrize("delay", [-3.0, -0.5, 0.0, 0.7, 3.0, 100.0, -100.0])
@pytest.mark.parametrize("text", TEXTS)
def test_times_ascend_inside_of_the_audio(text: str, delay: float) -> None:
    for seed in range(4):
        n_frames = ENCODER.minimum_frames(ENCODER.encode(text)) + 5 * seed
        # the middle of the last frame is inside of the audio, or just at its end
        duration = n_frames - 1 + seed / 4
        found = aligned(random_log_probs(n_frames, seed), text, duration=duration, delay=delay)
        for items in (found.words, found.characters):
            assert items[0].start >= 0
            assert items[-1].end <= duration
            assert all(left.end <= right.start for left, right in pairwise(items))
            assert all(item.start < item.end for item in items) or duration == 0
            assert all(0 <= item.confidence <= 1 for item in items)
        assert " ".join(word.word for word in found.words) == ENCODER.normalize(text)
        characters = iter(found.characters)
        for word in found.words:
            own = [next(characters) for _ in word.word]
            assert word.start <= own[0].start
            assert own[-1].end <= word.end


def test_a_gap_is_shared_and_a_pause_is_left_out() -> None:
    path = "__ab_ _c a_______ bb"  # middles of frames: a 2, b 3, c 7, a 9, b 18 and 19
    first, second, third, last = aligned(certain(path), "ab c a b", duration=22).words
    assert (first.start, first.end) == (1.5 - 0.75, 3.5 + 0.75)
    assert (second.start, second.end) == (6.5 - 0.75, 8)
    assert (third.start, third.end) == (8, 9.5 + 0.75)
    assert (last.start, last.end) == (17.5 - 0.75, 19.5 + 0.75)


def test_a_delay_is_taken_off_and_fades_at_the_end_to_which_times_move() -> None:
    path = "a_____________ b_____________ c"
    plain, late, early = (
        aligned(certain(path), "a b c", duration=31, delay=delay).words
        for delay in (0.0, 3.0, -3.0)
    )
    for moved, shift in ((late, -3.0), (early, 3.0)):
        middle = (plain[1].start + shift, plain[1].end + shift)
        assert (moved[1].start, moved[1].end) == pytest.approx(middle)
    assert (late[0].start, late[0].end) == (0, plain[0].end / 2)
    assert early[0].end == plain[0].end + 3
    assert late[2].end == plain[2].end - 3
    assert 31 - early[2].start == pytest.approx((31 - plain[2].start) / 2)


def test_seconds_are_frames_times_their_duration() -> None:
    log_probs = random_log_probs(30, 0)
    frames, seconds = aligned(log_probs, "ab c"), aligned(log_probs, "ab c", seconds_per_frame=0.04)
    for one, other in zip(frames.characters, seconds.characters, strict=True):
        assert (other.start, other.end) == pytest.approx((0.04 * one.start, 0.04 * one.end))


def test_confidences_are_geometric_means() -> None:
    probabilities = torch.full((5, ENCODER.n_tokens), 1e-9, dtype=torch.float64)
    for frame, (token, probability) in enumerate(
        [(2, 0.9), (2, 0.4), (3, 0.5), (1, 1.0), (4, 0.3)]
    ):
        probabilities[frame, token] = probability
    found = aligned(probabilities.log(), "ab c")
    assert [each.confidence for each in found.characters] == pytest.approx([0.6, 0.5, 0.3])
    assert [word.confidence for word in found.words] == pytest.approx([math.sqrt(0.3), 0.3])


def test_the_text_is_normalised() -> None:
    log_probs = random_log_probs(20, 1)
    assert aligned(log_probs, "  AB,  c. ") == aligned(log_probs, "ab c")


def test_an_alphabet_without_a_space_gives_one_word() -> None:
    encoder = TextEncoder("ab")
    found = align(random_log_probs(9, 0, 3), "abba", text_encoder=encoder, seconds_per_frame=1.0)
    assert [word.word for word in found.words] == ["abba"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_any_precision_will_do(dtype: torch.dtype) -> None:
    log_probs = certain("_ab_ cc_").to(dtype)
    found = aligned(log_probs.requires_grad_(), "ab c")
    expected = aligned(certain("_ab_ cc_"), "ab c")
    assert [word.start for word in found.words] == [word.start for word in expected.words]
    assert found.score == pytest.approx(expected.score, rel=0.02)


@pytest.mark.parametrize(("n_frames", "text"), [(0, "a"), (2, "abc"), (3, "aab"), (0, "a b")])
def test_audio_that_is_too_short_is_refused(n_frames: int, text: str) -> None:
    needed = ENCODER.minimum_frames(ENCODER.encode(text))
    message = f"{text!r} is too long for the audio: it takes {needed} .* there are {n_frames}"
    with pytest.raises(AudioError, match=message):
        aligned(random_log_probs(n_frames, 0), text)
    aligned(random_log_probs(needed, 0), text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at least one word, but is ''"),
        (" . ", "at least one word, but is ' . '"),
        ("ax", "'x' in 'ax' is not in the alphabet"),
    ],
)
def test_text_that_cannot_be_said_is_refused(text: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        aligned(random_log_probs(9, 0), text)


def test_what_would_end_the_process_is_refused() -> None:
    log_probs = torch.zeros(60000, ENCODER.n_tokens)
    with pytest.raises(AudioError, match=r"20000 characters in 40 minutes .* are too many"):
        aligned(log_probs, "ab" * 10000, seconds_per_frame=0.04)


@pytest.mark.parametrize("value", [-math.inf, math.nan])
def test_what_has_no_path_is_refused(value: float) -> None:
    log_probs = random_log_probs(9, 0)
    log_probs[:, 2:] = value
    with pytest.raises(AudioError, match="'ab' cannot be aligned: its log-probability is"):
        aligned(log_probs, "ab")


def test_torchaudio_may_be_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchaudio.functional", None)
    with pytest.raises(ConfigError, match="aligning needs torchaudio"):
        aligned(random_log_probs(9, 0), "ab")
