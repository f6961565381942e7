"""Decoders of pieces of words, held against exhaustive search."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch

from deepspeech2.audio.silence import Span
from deepspeech2.decoding import (
    BeamSearchDecoder,
    GreedyDecoder,
    LanguageModelDecoder,
    words,
)
from deepspeech2.decoding.align import align
from deepspeech2.decoding.beam.cpu import SearchOptions
from deepspeech2.decoding.beam.gpu import search_on_device
from deepspeech2.inference.long import joined, parts_to_decode
from deepspeech2.seeding import generator
from deepspeech2.text import SubwordEncoder
from deepspeech2.text.ngram.arpa import write_arpa
from deepspeech2.types import Hypothesis, Padded
from tests.decoding.ctc_oracle import all_transcripts, first_of_each_text
from tests.decoding.ngram_oracle import PlainModel, random_tables

ENCODER = SubwordEncoder(["\u2581a", "b", "\u2581b", "ab", "\u2581", "a"])
WORDS = ("a", "ab", "abb", "b", "ba", "bab")


def posteriors(batch: int, frames: int, *, seed: int) -> Padded:
    shape = (batch, frames, ENCODER.n_tokens)
    logits = torch.randn(shape, generator=generator("cpu", seed), dtype=torch.float64)
    return Padded(logits.log_softmax(-1), torch.full((batch,), frames))


def ranked(scores: dict[tuple[int, ...], float]) -> list[tuple[tuple[int, ...], float]]:
    best_first = sorted(scores.items(), key=lambda item: -item[1])
    return first_of_each_text(best_first, ENCODER)


def check(found: list[Hypothesis], scores: dict[tuple[int, ...], float]) -> None:
    expected = ranked(scores)[: len(found)]
    assert [each.score for each in found] == pytest.approx([s for _, s in expected], abs=1e-5)
    assert [each.labels for each in found] == [labels for labels, _ in expected]


def test_without_a_model_on_both_devices() -> None:
    decoder = BeamSearchDecoder(ENCODER, beam_size=5000, nbest=100)
    batch = posteriors(3, 4, seed=1)
    options = SearchOptions(beam_size=3000, nbest=100)
    both = zip(decoder(batch), search_on_device(batch, options, ENCODER), strict=True)
    for (found, other), utterance in zip(both, batch.unpad(), strict=True):
        check(found, all_transcripts(utterance))
        assert [each.text for each in other] == [each.text for each in found]


@pytest.mark.parametrize("unknown_score", [-3.0, None])
@pytest.mark.parametrize("hotwords", [None, {"ab": 2.0, "b a": 1.5, "bba": 1.0}])
@pytest.mark.parametrize("order", [1, 3])
def test_words_of_a_model_and_hot_phrases(
    tmp_path: Path, order: int, hotwords: dict[str, float] | None, unknown_score: float | None
) -> None:
    tables = random_tables(WORDS, order, seed=order)
    write_arpa(tables, tmp_path / "m.arpa")
    model = PlainModel(tables)
    decoder = LanguageModelDecoder(
        ENCODER, lm=str(tmp_path / "m.arpa"), lm_weight=0.6, word_score=0.7,
        unknown_score=unknown_score, hotwords=hotwords, beam_size=5000, nbest=60,
        beam_threshold=None,
    )  # fmt: skip
    spelled = {*WORDS, *" ".join(hotwords or ()).split()}
    batch = posteriors(2, 5, seed=2)
    for found, utterance in zip(decoder(batch), batch.unpad(), strict=True):
        scores = {}
        for labels, acoustic in all_transcripts(utterance).items():
            text = " ".join(ENCODER.decode(labels).split())
            unknown = sum(word not in spelled for word in text.split())
            if unknown and unknown_score is None:
                continue
            known = [word if word in WORDS else "?" for word in text.split()]
            score = acoustic + 0.6 * math.log(10) * sum(model.sentence(known))
            score += 0.7 * len(known) + (unknown_score or 0.0) * unknown
            for phrase, boost in (hotwords or {}).items():
                score += boost * len(re.findall(f"(?= {phrase} )", f" {text} "))
            scores[labels] = score
            if unknown_score is not None:
                assert decoder.language_score(text) == pytest.approx(score - acoustic, abs=1e-5)
        check([each for each in found if each.score > -math.inf], scores)


@pytest.mark.parametrize("seed", range(3))
def test_a_narrow_beam_passes_over_nothing_that_a_bound_forbids(tmp_path: Path, seed: int) -> None:
    """The bound on what a token can gain never changes which beams are kept."""
    tables = random_tables(WORDS, 2, seed=seed)
    write_arpa(tables, tmp_path / "m.arpa")
    decoder = LanguageModelDecoder(
        ENCODER, lm=str(tmp_path / "m.arpa"), lm_weight=1.2, word_score=1.0, unknown_score=-3.0,
        hotwords={"ab b": 3.0, "a": 1.0}, beam_size=6, nbest=6,
    )  # fmt: skip
    batch = posteriors(4, 12, seed=seed)
    found = decoder(batch)
    endless = decoder._fusion.at_most.copy()
    endless[:] = math.inf
    decoder._fusion = decoder._fusion._replace(at_most=endless)
    assert decoder(batch) == found


def certain(labels: list[int]) -> torch.Tensor:
    """(T, V): a frame for each label, 0 for the blank."""
    log_probs = torch.full((len(labels), ENCODER.n_tokens), 0.02, dtype=torch.float64)
    return log_probs.scatter(1, torch.tensor(labels)[:, None], 0.88).log()


def test_times_and_confidences_of_words() -> None:
    """Of pieces that begin words, of a mark alone, and of two spaces in a row."""
    frames = certain([0, 1, 2, 0, 5, 0, 6, 2, 0, 5, 3])
    [[best]] = GreedyDecoder(ENCODER)(Padded.stack([frames]))
    assert best.text == "ab ab b"
    timed = words(best, 0.5, text_encoder=ENCODER)
    assert [(each.word, each.start, each.end) for each in timed] == [
        ("ab", 0.5, 1.5), ("ab", 3.0, 4.0), ("b", 5.0, 5.5),
    ]  # fmt: skip
    assert [each.confidence for each in timed] == pytest.approx([0.88] * 3)


def test_a_known_text_is_aligned() -> None:
    labels = ENCODER.encode("ab b")
    assert [ENCODER.tokens[label] for label in labels] == [" a", "b", " b"]
    frames = certain([0, labels[0], labels[1], 0, 0, 0, labels[2], 0])
    found = align(frames, "AB b", text_encoder=ENCODER, seconds_per_frame=1.0)
    assert [(each.word, each.start, each.end) for each in found.words] == [
        ("ab", 0.0, 3.25), ("b", 4.75, 7.25),
    ]  # fmt: skip
    assert [each.character for each in found.characters] == ["a", "b", "b"]


def test_a_long_recording_is_cut_where_words_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepspeech2.inference.long.PART", 1.0)
    draw = torch.Generator().manual_seed(1)
    path = [int(each) for each in torch.randint(0, 7, (300,), generator=draw)]
    frames = certain(path).float()
    spans = parts_to_decode(frames, ENCODER, 25.0)
    assert len(spans) > 11
    decoder = GreedyDecoder(ENCODER)
    parts = [(span, decoder(Padded.stack([frames[span.start : span.end]]))[0][0]) for span in spans]
    whole = decoder(Padded.stack([frames]))[0][0]
    together = joined(parts, ENCODER)
    assert together.text == whole.text
    assert [word.word for word in words(together, 1.0, text_encoder=ENCODER)] == whole.text.split()


def test_parts_that_begin_within_a_word_are_apart() -> None:
    halves = [
        Hypothesis("ab", 0.0, (1, 2), (0, 1), (0.9, 0.9)),
        Hypothesis("b", 0.0, (2,), (0,), (0.9,)),
    ]
    found = joined(list(zip([Span(0, 5), Span(5, 9)], halves, strict=True)), ENCODER)
    assert (found.text, found.labels, found.frames) == ("ab b", (1, 2, 5, 2), (0, 1, 5, 5))
