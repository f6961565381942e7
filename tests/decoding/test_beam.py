from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from benchmarks.dict_beam_search import prefix_beam_search as plain_search
from deepspeech2.decoding import BeamSearchDecoder, GreedyDecoder
from deepspeech2.decoding.beam.cpu import SearchOptions
from deepspeech2.decoding.beam.gpu import search_on_device
from deepspeech2.errors import ConfigError
from deepspeech2.text import TextEncoder
from deepspeech2.types import Hypothesis, Padded
from tests.decoding.ctc_oracle import all_transcripts, best_alignment, starts


def posteriors(
    batch: int, frames: int, tokens: int, *, seed: int, sharpness: float = 1.5
) -> Padded:
    random = torch.Generator().manual_seed(seed)
    logits = sharpness * torch.randn(batch, frames, tokens, generator=random, dtype=torch.float64)
    lengths = torch.randint(0, frames + 1, (batch,), generator=random)
    lengths[0] = frames
    return Padded(logits.log_softmax(-1), lengths)


def encoder(tokens: int) -> TextEncoder:
    return TextEncoder("abcdefghijklmnopqrstuvwxyz"[: tokens - 1])


Search = Callable[..., Callable[[Padded], list[list[Hypothesis]]]]


@pytest.fixture(params=["host", "device"])
def search(request: pytest.FixtureRequest, device: torch.device) -> Search:
    """Both implementations: machine code on the CPU, and PyTorch on whatever device there is."""

    def make(
        text_encoder: TextEncoder, **options: Any
    ) -> Callable[[Padded], list[list[Hypothesis]]]:
        if request.param == "host":
            return BeamSearchDecoder(text_encoder, **options)
        return lambda batch: search_on_device(
            batch.to(device), SearchOptions(**options), text_encoder
        )

    return make


def assert_same(
    found: list[Hypothesis], expected: list[tuple[tuple[int, ...], float]], tolerance: float
) -> None:
    assert [each.labels for each in found] == [labels for labels, _ in expected]
    scores = [score for _, score in expected]
    assert [each.score for each in found] == pytest.approx(scores, abs=tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("frames", "tokens"), [(1, 2), (2, 4), (3, 3), (4, 4), (5, 3), (5, 4)])
def test_agrees_with_exhaustive_search(
    frames: int, tokens: int, dtype: torch.dtype, search: Search
) -> None:
    batch = posteriors(6, frames, tokens, seed=frames * tokens)
    decoder = search(encoder(tokens), beam_size=500, nbest=500)
    found = decoder(Padded(batch.data.to(dtype), batch.lengths))
    for hypotheses, utterance in zip(found, batch.unpad(), strict=True):
        ranked = sorted(all_transcripts(utterance).items(), key=lambda item: -item[1])
        assert len(hypotheses) == len(ranked)
        assert_same(hypotheses, ranked, 1e-5)
        assert sum(math.exp(each.score) for each in hypotheses) == pytest.approx(1.0, abs=1e-5)


def test_frames_are_those_of_the_best_alignment(search: Search) -> None:
    batch = posteriors(8, 5, 4, seed=7)
    found = search(encoder(4), beam_size=200, nbest=40)(batch)
    for hypotheses, utterance in zip(found, batch.unpad(), strict=True):
        for each in hypotheses:
            assert each.frames == starts(best_alignment(utterance, each.labels))
            expected = [
                utterance[frame, label].exp().item()
                for frame, label in zip(each.frames, each.labels, strict=True)
            ]
            assert each.confidences == pytest.approx(expected)


@pytest.mark.parametrize("beam_size", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("sharpness", [0.5, 1.5, 4.0])
def test_agrees_with_a_plain_search(beam_size: int, sharpness: float, search: Search) -> None:
    batch = posteriors(4, 30, 6, seed=beam_size, sharpness=sharpness)
    decoder = search(encoder(6), beam_size=beam_size, nbest=beam_size)
    for hypotheses, utterance in zip(decoder(batch), batch.unpad(), strict=True):
        assert_same(hypotheses, plain_search(utterance.tolist(), beam_size), 1e-9)


def test_agrees_with_a_plain_search_on_long_input(search: Search) -> None:
    batch = posteriors(2, 250, 29, seed=1, sharpness=2.5)
    decoder = search(TextEncoder(), beam_size=10, nbest=10)
    for hypotheses, utterance in zip(decoder(batch), batch.unpad(), strict=True):
        assert_same(hypotheses, plain_search(utterance.tolist(), 10), 1e-8)


@pytest.mark.parametrize("threshold", [0.3, 2.0, 6.0])
def test_beam_threshold_agrees_with_a_plain_search(threshold: float, search: Search) -> None:
    batch = posteriors(4, 25, 5, seed=3)
    decoder = search(encoder(5), beam_size=9, nbest=9, beam_threshold=threshold)
    for hypotheses, utterance in zip(decoder(batch), batch.unpad(), strict=True):
        assert_same(hypotheses, plain_search(utterance.tolist(), 9, beam_threshold=threshold), 1e-9)


@pytest.mark.parametrize(
    "options",
    [{}, {"blank_threshold": 0.4}, {"beam_size_token": 2}, {"beam_threshold": 3.0}],
    ids=str,
)
def test_alone_as_in_a_batch(options: dict[str, float], search: Search) -> None:
    batch = posteriors(9, 40, 7, seed=11)
    decoder = search(encoder(7), beam_size=6, nbest=3, **options)  # type: ignore[arg-type]
    together = decoder(batch)
    for hypotheses, utterance in zip(together, batch.unpad(), strict=True):
        alone = Padded(utterance[None], torch.tensor([len(utterance)]))
        found = decoder(alone)[0]
        assert [replace(each, score=0.0) for each in found] == [
            replace(each, score=0.0) for each in hypotheses
        ]
        scores = [each.score for each in hypotheses]
        assert [each.score for each in found] == pytest.approx(scores, rel=1e-12)


def test_padding_is_not_read(search: Search) -> None:
    batch = posteriors(5, 20, 5, seed=5)
    poisoned = Padded(batch.masked(math.nan).data, batch.lengths)
    decoder = search(encoder(5), nbest=4, blank_threshold=0.5, beam_size_token=2)
    assert decoder(poisoned) == decoder(batch)
    assert GreedyDecoder(encoder(5))(poisoned) == GreedyDecoder(encoder(5))(batch)


def test_blank_threshold_takes_frames_as_certain_blanks(search: Search) -> None:
    batch = posteriors(6, 40, 4, seed=17, sharpness=2.0)
    # Runs of blanks between equal labels, which must stay apart.
    batch.data[:, 10:14] = torch.tensor([0.91, 0.03, 0.03, 0.03]).double().log()
    batch.data[:, 9] = batch.data[:, 14] = torch.tensor([0.04, 0.9, 0.03, 0.03]).double().log()
    pruning = search(encoder(4), nbest=5, blank_threshold=0.6)
    silent = batch.data[..., 0] > math.log(0.6)
    assert 0.1 < silent.double().mean() < 0.9
    certain = batch.data.clone()
    certain[..., 1:].masked_fill_(silent[..., None], -math.inf)
    expected = search(encoder(4), nbest=5)(Padded(certain, batch.lengths))
    for found, wanted in zip(pruning(batch), expected, strict=True):
        assert_same(found, [(each.labels, each.score) for each in wanted], 1e-9)
        assert [each.frames for each in found] == [each.frames for each in wanted]
        assert found[0].confidences == pytest.approx(wanted[0].confidences)


def test_beam_size_token_keeps_the_best_labels_and_the_blank(search: Search) -> None:
    batch = posteriors(4, 30, 8, seed=19)
    masked = batch.data.clone()
    for utterance in masked:
        for frame in utterance:
            frame[1 + frame[1:].argsort()[:-3]] = -math.inf
    limited = search(encoder(8), nbest=5, beam_size_token=3)
    expected = search(encoder(8), nbest=5)(Padded(masked, batch.lengths))
    assert limited(batch) == expected
    assert search(encoder(8), nbest=5)(batch) != expected


def test_merges_what_greedy_misses(search: Search) -> None:
    # A. Graves, 2012, figure 7.5: the best path is blank, the best labelling "a".
    frames = torch.tensor([[[0.6, 0.4], [0.6, 0.4]]]).log()
    batch = Padded(frames, torch.tensor([2]))
    assert GreedyDecoder(encoder(2))(batch)[0][0].text == ""
    best = search(encoder(2))(batch)[0][0]
    assert best.text == "a"
    assert best.score == pytest.approx(math.log(0.64))


def test_long_certain_input_does_not_underflow(search: Search) -> None:
    labels = ([2, 0, 2, 3, 0] * 400)[:1999]
    data = torch.full((1, len(labels), 4), -30.0)
    data[0, torch.arange(len(labels)), torch.tensor(labels)] = -2.0
    batch = Padded(data, torch.tensor([len(labels)]))
    beam, greedy = search(encoder(4)), GreedyDecoder(encoder(4))
    assert beam(batch)[0][0].labels == greedy(batch)[0][0].labels
    assert beam(batch)[0][0].frames == greedy(batch)[0][0].frames


def test_nothing_to_decode(search: Search) -> None:
    decoder = search(encoder(4), nbest=2)
    assert decoder(Padded(torch.zeros(0, 5, 4), torch.zeros(0, dtype=torch.int64))) == []
    empty = Padded(torch.zeros(2, 0, 4), torch.zeros(2, dtype=torch.int64))
    assert decoder(empty) == [[Hypothesis("", 0.0)]] * 2
    impossible = Padded(torch.full((1, 3, 4), -math.inf), torch.tensor([3]))
    assert decoder(impossible) == [[Hypothesis("", -math.inf)]]


def test_half_precision_input(search: Search) -> None:
    batch = posteriors(3, 20, 5, seed=23)
    rough = Padded(batch.data.bfloat16(), batch.lengths)
    decoder = search(encoder(5))
    assert decoder(rough) == decoder(Padded(rough.data.float(), rough.lengths))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam_size": 0}, "decoder.beam_size must be a whole number of at least 1, but is 0"),
        ({"nbest": 11}, r"nbest must be 1 to beam_size \(10\), but is 11"),
        (
            {"beam_size_token": 0},
            "decoder.beam_size_token must be a whole number of at least 1 or null, but is 0",
        ),
        (
            {"beam_threshold": -1.0},
            r"beam_threshold must be a number above 0 or null, but is -1\.0",
        ),
        (
            {"blank_threshold": 1.5},
            r"blank_threshold must be a number above 0 and up to 1 or null, but is 1\.5",
        ),
    ],
)
def test_bad_options(options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BeamSearchDecoder(encoder(4), **options)  # type: ignore[arg-type]


def test_wrong_number_of_tokens() -> None:
    batch = posteriors(2, 3, 5, seed=0)
    for decoder in (BeamSearchDecoder(encoder(4)), GreedyDecoder(encoder(4))):
        with pytest.raises(ValueError, match=r"log_probs must be \(B, T, 4\), but is \(2, 3, 5\)"):
            decoder(batch)


def test_settings_make_the_same_decoder() -> None:
    options = {"beam_size": 4, "nbest": 2, "beam_size_token": 3}
    decoder = BeamSearchDecoder(encoder(6), **options)
    assert decoder.settings | options == decoder.settings
    again = BeamSearchDecoder(encoder(6), **decoder.settings)  # type: ignore[arg-type]
    assert again.settings == decoder.settings


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_no_synchronisation_within_the_search() -> None:
    from deepspeech2.decoding.beam.gpu import prefix_beam_search

    frames = posteriors(4, 30, 29, seed=29).data.transpose(0, 1).float().cuda()
    prefix_beam_search(frames, beam_size=10)
    torch.cuda.set_sync_debug_mode("error")
    try:
        prefix_beam_search(frames, beam_size=10, beam_threshold=5.0)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_no_text_is_there_twice(search: Search) -> None:
    """Labels with spaces at an end, or two in a row, are the text of those without."""
    batch = posteriors(8, 12, 4, seed=3)
    decoder = TextEncoder("ab ")
    wide = search(decoder, beam_size=60, nbest=60)(batch)
    few = search(decoder, beam_size=60, nbest=5)(batch)
    for every, some in zip(wide, few, strict=True):
        texts = [each.text for each in every]
        assert len(texts) == len(set(texts)) < 60
        assert all(text == " ".join(text.split()) for text in texts)
        assert [each.text for each in some] == texts[:5]
        assert [each.score for each in every] == sorted((e.score for e in every), reverse=True)


def test_an_infinite_threshold_is_none() -> None:
    encoder = TextEncoder("ab")
    wide = BeamSearchDecoder(encoder, beam_threshold=math.inf)
    emissions = Padded(torch.randn(1, 9, 3).log_softmax(-1), torch.tensor([9]))
    assert wide(emissions) == BeamSearchDecoder(encoder)(emissions)
    with pytest.raises(ConfigError, match=r"beam_threshold must be a number above 0"):
        BeamSearchDecoder(encoder, beam_threshold=math.nan)
