"""What errors are owed to, on emissions made for each cause."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepspeech2.decoding import BeamSearchDecoder, GreedyDecoder
from deepspeech2.error_budget import (
    ErrorBudget,
    acoustic_scores,
    divided,
    error_budget_of_parts,
    error_budgets,
)
from deepspeech2.evaluation import Evaluation
from deepspeech2.inference import budget_table
from deepspeech2.metrics import CorpusScore
from deepspeech2.metrics.edits import word_edits
from deepspeech2.text import TextEncoder
from deepspeech2.types import Padded

ENCODER = TextEncoder("ab ")


def frames(path: str, *, certainty: float = 0.9) -> torch.Tensor:
    """(T, V) with one token a frame; ``-`` is the blank."""
    tokens = [0 if each == "-" else ENCODER.encode(f"{each}")[0] if each != " " else 3
              for each in path]  # fmt: skip
    data = torch.full((len(tokens), 4), (1 - certainty) / 3)
    data[torch.arange(len(tokens)), torch.tensor(tokens)] = certainty
    return data.log()


@dataclass
class Stub:
    """A decoder that prefers some texts and does not know one word."""

    liking: dict[str, float]
    name: str = "Stub"

    def language_score(self, text: str) -> float:
        return self.liking.get(text, 0.0)

    def acoustic(self, log_probs: Padded) -> Padded:
        return log_probs

    def knows(self, word: str) -> bool:
        return word != "bb"


def budget(emissions: torch.Tensor, reference: str, heard: str, **liking: float) -> ErrorBudget:
    log_probs = Padded(emissions[None], torch.tensor([len(emissions)]))
    stub: Any = Stub({key.replace("_", " "): value for key, value in liking.items()})
    [found] = error_budgets(stub, log_probs, [reference], [heard], ENCODER) or []
    return found


def test_each_cause() -> None:
    clear = frames("a-a-b")
    assert budget(clear, "aab", "aab") == ErrorBudget(words=1)
    # what was meant was said, and another text was found: the search
    assert budget(clear, "aab", "ab") == ErrorBudget(search=1, words=1)
    assert budget(clear, "aab", "ab", ab=50.0) == ErrorBudget(language=1, words=1)
    assert budget(clear, "ab", "aab") == ErrorBudget(acoustic=1, words=1)
    assert budget(clear, "ab", "aab", ab=0.1) == ErrorBudget(acoustic=1, words=1)
    assert budget(clear, "ab", "aab", aab=0.1) == ErrorBudget(both=1, words=1)
    # a word outside the vocabulary is its own cause, whatever else is wrong
    assert budget(clear, "bb ab", "aab ab ab") == ErrorBudget(unknown=1, acoustic=1, words=2)


def test_a_reference_outside_the_alphabet_and_one_too_long() -> None:
    assert budget(frames("a-b"), "xyz", "ab") == ErrorBudget(acoustic=1, words=1)
    assert budget(frames("a-b"), "aaaa", "ab") == ErrorBudget(acoustic=1, words=1)


def test_sums_to_the_edits_of_the_corpus() -> None:
    first, second = ErrorBudget(1, 2, 3, 4, 5, 30), ErrorBudget(5, 4, 3, 2, 1, 10)
    whole = first + second
    assert whole == ErrorBudget(6, 6, 6, 6, 6, 40)
    assert whole.share("search") == pytest.approx(0.15)
    assert ErrorBudget().share("search") == 0.0


def test_acoustic_scores_are_those_of_a_beam_that_holds_all() -> None:
    random = torch.Generator().manual_seed(0)
    batch = Padded(
        torch.randn(5, 5, 4, generator=random).log_softmax(-1), torch.tensor([5, 5, 4, 3, 1])
    )
    decoder = BeamSearchDecoder(ENCODER, beam_size=1000, nbest=1000)
    for row, hypotheses in zip(batch.unpad(), decoder(batch), strict=True):
        alone = Padded(row[None], torch.tensor([len(row)]))
        for each in hypotheses:
            text = "".join(ENCODER.alphabet[label - 1] for label in each.labels)
            if text == " ".join(text.split()):
                [score] = acoustic_scores(alone, [text], ENCODER)
                assert score == pytest.approx(each.score, abs=1e-4)
    assert acoustic_scores(alone, ["xyz"], ENCODER) == [-math.inf]


TEXTS = st.text("ab ", max_size=12)


@given(reference=TEXTS, parts=st.lists(TEXTS, min_size=1, max_size=5), spaced=st.booleans())
def test_parts_have_the_errors_of_the_whole(reference: str, parts: list[str], spaced: bool) -> None:
    heard = (" " if spaced else "").join(parts)
    if spaced:
        pieces = divided(reference.split(), [part.split() for part in parts])
        assert list(chain(*pieces)) == reference.split()
        edits = [
            word_edits(" ".join(piece), part).errors
            for piece, part in zip(pieces, parts, strict=True)
        ]
        assert sum(edits) == word_edits(reference, heard).errors
    else:
        assert "".join(map("".join, divided(reference, parts))) == reference
    encoder = ENCODER if spaced else TextEncoder("ab")
    log_probs = torch.randn(len(parts), 9, encoder.n_tokens).log_softmax(-1)
    padded = Padded(log_probs, torch.full((len(parts),), 9))
    found = error_budget_of_parts(GreedyDecoder(encoder), padded, reference, parts, encoder)
    assert found is not None
    owed = found.unknown + found.search + found.language + found.acoustic + found.both
    whole = word_edits(reference, heard)
    assert (owed, found.words) == (whole.errors, whole.reference)


def test_a_book_whose_words_all_fall_to_one_part_takes_no_memory() -> None:
    parts = Padded.stack([frames("a-b"), frames("-" * 500)])
    book = "ab " * 30_000
    started = time.process_time()
    found = error_budget_of_parts(GreedyDecoder(ENCODER), parts, book, ["ab", ""], ENCODER)
    assert found == ErrorBudget(acoustic=29_999, words=30_000)
    assert time.process_time() - started < 20


def test_the_table_says_what_it_covers() -> None:
    """Predictions from before there were references are scored, but their causes not known."""
    evaluation = Evaluation({"Beam": CorpusScore.from_pairs([("a b", "a b"), ("a b a", "b")])})
    evaluation.budgets = {"Beam": ErrorBudget(acoustic=1, words=2)}
    table = budget_table({"dev": evaluation})
    assert "2 of 5" in table
    assert "this WER covers the others alone" in table
    evaluation.budgets = {"Beam": ErrorBudget(acoustic=2, words=5)}
    whole = budget_table({"dev": evaluation})
    assert " of 5" not in whole
    assert "covers" not in whole
