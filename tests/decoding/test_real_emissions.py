"""The searches on emissions of real speech.

``real_emissions.npz`` contains what a network, trained on eight hours, emits for some utterances of
LibriSpeech's test-clean (V. Panayotov et al., CC BY 4.0), with their transcripts.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.dict_beam_search import prefix_beam_search as plain_search
from deepspeech2.decoding import BeamSearchDecoder, GreedyDecoder, fired
from deepspeech2.decoding.beam.cpu import SearchOptions
from deepspeech2.decoding.beam.gpu import search_on_device
from deepspeech2.metrics import CorpusScore
from deepspeech2.text import TextEncoder
from deepspeech2.types import Padded

ENCODER = TextEncoder()
NAME = "uncas"


@pytest.fixture(scope="module")
def spoken() -> tuple[Padded, list[str]]:
    with np.load(Path(__file__).with_name("real_emissions.npz")) as content:
        frames = torch.from_numpy(content["log_probs"]).double().log_softmax(-1)
        lengths, references = content["lengths"].tolist(), content["references"].tolist()
    return Padded.stack(list(frames.split(lengths))), references


@pytest.mark.parametrize("beam_size", [1, 10])
def test_agrees_with_a_plain_search(
    spoken: tuple[Padded, list[str]], beam_size: int, device: torch.device
) -> None:
    chosen = Padded(spoken[0].data[::5], spoken[0].lengths[::5])
    on_host = BeamSearchDecoder(ENCODER, beam_size=beam_size)(chosen)
    options = SearchOptions(beam_size=beam_size)
    on_device = search_on_device(chosen.to(device), options, ENCODER)
    for [host], [other], utterance in zip(on_host, on_device, chosen.unpad(), strict=True):
        labels, score = plain_search(utterance.tolist(), beam_size)[0]
        assert host.labels == other.labels == labels
        assert host.score == pytest.approx(score, abs=1e-6)
        assert other.score == pytest.approx(score, abs=1e-6)
        assert host.frames == other.frames


def test_a_wider_beam_is_more_probable(spoken: tuple[Padded, list[str]]) -> None:
    totals = [
        sum(best.score for [best] in BeamSearchDecoder(ENCODER, beam_size=size)(spoken[0]))
        for size in (1, 4, 16, 64)
    ]
    assert totals == sorted(totals)


def test_blank_skipping_costs_next_to_nothing(spoken: tuple[Padded, list[str]]) -> None:
    batch, references = spoken
    whole = BeamSearchDecoder(ENCODER, beam_size=10)(batch)
    skipping = BeamSearchDecoder(ENCODER, beam_size=10, blank_threshold=0.999)(batch)
    rates = [
        CorpusScore.from_pairs(zip(references, (best.text for [best] in found), strict=True)).cer
        for found in (whole, skipping)
    ]
    assert rates[1] == pytest.approx(rates[0], abs=0.002)


def test_a_hot_name_comes_out_right_and_nothing_else_changes_for_the_worse(
    spoken: tuple[Padded, list[str]],
) -> None:
    batch, references = spoken
    greedy = [best.text for [best] in GreedyDecoder(ENCODER)(batch)]
    plain = [best.text for [best] in BeamSearchDecoder(ENCODER, beam_size=50)(batch)]
    hot = BeamSearchDecoder(ENCODER, beam_size=50, hotwords=[NAME.upper()], hotword_weight=8.0)
    boosted = [best.text for [best] in hot(batch)]
    named = [bool(fired(reference, [NAME], ENCODER)) for reference in references]
    assert sum(named) == 3
    assert not any(fired(text, [NAME], ENCODER) for text in (*greedy, *plain))
    right = [bool(fired(text, [NAME], ENCODER)) for text in boosted]
    assert sum(both and name for both, name in zip(right, named, strict=True)) >= 2
    assert not any(heard and not name for heard, name in zip(right, named, strict=True))

    def rest(texts: list[str]) -> float:
        rows = zip(references, texts, named, strict=True)
        return CorpusScore.from_pairs((r, text) for r, text, name in rows if not name).wer

    assert rest(boosted) <= rest(plain) + 0.002
