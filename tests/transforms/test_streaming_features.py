"""Samples in pieces against the whole at once."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from deepspeech2.errors import ConfigError
from deepspeech2.transforms import (
    FrontEnd,
    GlobalNormalization,
    LogMelSpectrogram,
    LogSpectrogram,
    UtteranceNormalization,
)
from deepspeech2.transforms.streaming_front_end import StreamingFrontEnd
from deepspeech2.types import Padded


def front_end(n_fft: int, hop: int, normalization: nn.Module | None = None) -> FrontEnd:
    return FrontEnd(LogMelSpectrogram(n_fft=n_fft, hop_length=hop, n_mels=8), normalization)


FITTED = GlobalNormalization([1.0] * 8, [2.0] * 8)


@pytest.mark.parametrize(("n_fft", "hop"), [(40, 20), (41, 16), (40, 40), (40, 37), (64, 5)])
@settings(max_examples=40)
@given(length=st.integers(1, 400), data=st.data())
def test_pieces_give_the_frames_of_the_whole(
    n_fft: int, hop: int, length: int, data: st.DataObject
) -> None:
    ends = sorted(data.draw(st.lists(st.integers(0, length), max_size=12)))
    whole = front_end(n_fft, hop, FITTED)
    stream = StreamingFrontEnd(whole)
    samples = torch.randn(length, generator=torch.Generator().manual_seed(length))
    state, found = stream.start(), []
    for first, end in pairwise((0, *ends, length)):
        state, frames = stream.step(state, samples[first:end])
        found.append(frames)
        assert (
            len(state.buffer) <= max(end - first, 0) + 3 * n_fft + hop
        )  # bounded, whatever came before
    found.append(stream.step(state, samples[:0], last=True)[1])
    expected = whole(Padded.stack([samples])).data[0]
    torch.testing.assert_close(torch.cat(found), expected, rtol=1e-4, atol=1e-4)


def test_a_frame_comes_as_soon_as_its_latency_is_over() -> None:
    stream = StreamingFrontEnd(FrontEnd(LogSpectrogram(n_fft=40, hop_length=10)))
    samples = torch.randn(100)
    state, frames = stream.step(stream.start(), samples[: 30 + stream.latency - 1])
    assert len(frames) == 3
    assert len(stream.step(state, samples[:1])[1]) == 1  # frame 3, centred on sample 30


def test_silence_of_no_length_has_no_frame() -> None:
    stream = StreamingFrontEnd(front_end(40, 20))
    assert stream.step(stream.start(), torch.zeros(0), last=True)[1].shape == (0, 8)


def test_a_normalisation_that_waits_for_the_end_is_refused() -> None:
    with pytest.raises(ConfigError, match="UtteranceNormalization"):
        StreamingFrontEnd(front_end(40, 20, UtteranceNormalization()))
