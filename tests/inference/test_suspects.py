"""Bad transcripts are found: on emissions by hand, and among planted errors at a small scale."""

from __future__ import annotations

import math

import pytest
import torch

from benchmarks.suspects import KINDS, found_among, plant
from deepspeech2.errors import ManifestError
from deepspeech2.extras.suspects.evidence import Evidence, evidence
from deepspeech2.text import TextEncoder

ENCODER = TextEncoder()
STEP = 0.02


def spoken(text: str, *, clarity: float = 6.0, seed: int = 0) -> torch.Tensor:
    """(T, V) log-probabilities of ``text``, a frame a letter with a blank behind each."""
    draw = torch.Generator().manual_seed(seed)
    labels = [label for each in ENCODER.encode(text) for label in (each, 0)]
    logits = torch.randn(len(labels), ENCODER.n_tokens, generator=draw)
    logits[range(len(labels)), labels] += clarity
    return logits.log_softmax(1)


def judge(said: str, written: str, **how: float) -> Evidence:
    return evidence(spoken(said, **how), written, text_encoder=ENCODER, seconds_per_frame=STEP)


def test_what_agrees_is_not_suspicious() -> None:
    found = judge("the cat sat on the mat", "THE CAT SAT ON THE MAT")
    assert found.heard == "the cat sat on the mat"
    assert (found.unsaid, found.unwritten, found.why_not) == ((), (), None)
    assert found.suspicion < 0.5  # the sum over paths may even exceed the best one
    assert found.cer == 0


def test_a_word_that_is_not_said_is_named_with_its_place() -> None:
    found = judge("the cat sat on the mat", "THE BLACK CAT SAT ON THE MAT")
    assert [(each.place, each.word) for each in found.unsaid] == [(1, "black")]
    assert found.unwritten == ()
    assert found.suspicion > 1.5


def test_speech_without_words_is_named_with_its_time() -> None:
    found = judge("the black cat sat on the mat", "THE CAT SAT ON THE MAT")
    assert found.unsaid == ()
    (only,) = found.unwritten
    assert only.heard == "black"
    # two frames a letter, "the " before it
    assert (only.start, only.end) == (pytest.approx(8 * STEP), pytest.approx(17 * STEP))
    assert found.suspicion > 1.5


def test_the_loss_is_that_of_ctc_for_each_label() -> None:
    said, written = "the cat", "THE CAP"
    log_probs, labels = spoken(said), ENCODER.encode(written)
    expected = torch.nn.CTCLoss(reduction="sum")(
        log_probs[:, None], torch.tensor([labels]),
        torch.tensor([len(log_probs)]), torch.tensor([len(labels)]),
    ).item()  # fmt: skip
    found = judge(said, written)
    assert found.ctc == pytest.approx(expected / len(labels), rel=1e-5)
    best = log_probs.max(dim=1).values.sum().item()
    assert found.worse == pytest.approx((expected + best) / len(labels), rel=1e-5)


def test_the_same_error_is_less_suspicious_in_noise() -> None:
    clear, noisy = (
        judge("the cat sat on the mat", "THE CAT SAT ON A HAT", clarity=clarity)
        for clarity in (8.0, 2.0)
    )
    assert clear.suspicion > noisy.suspicion


@pytest.mark.parametrize(
    ("text", "reason"), [("CAT 9", "characters outside the alphabet: 9"), ("", "no words")]
)
def test_what_cannot_be_measured_comes_first_and_why(text: str, reason: str) -> None:
    found = judge("the cat", text)
    assert found.suspicion == math.inf
    assert found.why_not is not None
    assert found.why_not.startswith(reason)


def test_a_text_that_cannot_be_said_in_so_few_frames_is_beyond_any_number() -> None:
    found = judge("a", "A LONG SENTENCE")
    assert (found.suspicion, found.why_not) == (math.inf, None)
    assert [each.word for each in found.unsaid][-1] == "sentence"


def test_without_spaces_there_are_no_words() -> None:
    with pytest.raises(ManifestError, match="has no space"):
        evidence(
            torch.zeros(4, 3).log_softmax(1), "ab",
            text_encoder=TextEncoder("ab"), seconds_per_frame=STEP,
        )  # fmt: skip


WORDS = (
    "red",
    "blue",
    "green",
    "black",
    "small",
    "large",
    "new",
    "house",
    "tree",
    "river",
    "stone",
)


def test_planted_errors_are_among_the_first() -> None:
    draw = torch.Generator().manual_seed(5)
    texts = [
        " ".join(WORDS[i] for i in torch.randint(len(WORDS), (8,), generator=draw).tolist())
        for _ in range(100)
    ]
    written, kinds = plant(texts, 0.1, seed=1)
    assert plant(texts, 0.1, seed=1) == (written, kinds)
    assert set(kinds) == {None, *KINDS}
    changed = [old != new for old, new in zip(texts, written, strict=True)]
    assert changed == [kind is not None for kind in kinds]
    scores = torch.tensor(
        [
            judge(said, text, clarity=5.0, seed=number).suspicion
            for number, (said, text) in enumerate(zip(texts, written, strict=True))
        ]
    ).numpy()
    found = found_among(scores, kinds, 0.1)
    assert found["precision"] >= 0.9
    assert found["recall"] >= 0.9
    # and not by the way of counting: nothing is found where nothing is listened to
    assert found_among(0 * scores, kinds, 0.1)["precision"] < 0.5
