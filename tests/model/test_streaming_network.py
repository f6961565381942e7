"""Pieces of any size against the whole at once, and how far the network looks ahead."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from deepspeech2.errors import ConfigError
from deepspeech2.model import DeepSpeech2
from deepspeech2.model.layers import Lookahead
from deepspeech2.model.streaming_network import StreamingNetwork
from deepspeech2.types import Padded

N_FEATURES = 20
SHAPES = [
    {},
    {"lookahead": 0},
    {"rnn_type": "lstm", "conv_kernels": [[5, 3], [3, 1]], "conv_strides": [[2, 3], [1, 1]]},
    {"rnn_type": "rnn", "lookahead": 9, "conv_strides": [[3, 2], [2, 2]]},
    {"rnn_layers": 3, "intermediate": [1, 2], "self_conditioned": True},
]


def network(**options: object) -> DeepSpeech2:
    torch.manual_seed(0)
    chosen: dict[str, object] = {
        "conv_channels": [3, 4],
        "conv_kernels": [[5, 7], [3, 5]],
        "conv_strides": [[2, 2], [2, 1]],
        "rnn_layers": 2,
        "rnn_size": 8,
        "bidirectional": False,
        "lookahead": 3,
        **options,
    }
    model = DeepSpeech2(N_FEATURES, 6, **chosen)  # type: ignore[arg-type]
    for name, value in model.named_buffers():
        if name.endswith(("mean", "var")):
            value.uniform_(0.5, 1.5)
    if model.lookahead is not None:
        model.lookahead.weight.data.normal_()
    return model.eval()


def streamed(model: DeepSpeech2, features: Tensor, ends: list[int]) -> Tensor:
    stream = StreamingNetwork(model)
    state = stream.start(N_FEATURES)
    found = []
    for first, end in pairwise((0, *ends, len(features))):
        state, log_probs = stream.step(state, features[first:end])
        found.append(log_probs)
    return torch.cat((*found, stream.step(state, features[:0], last=True)[1]))


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=30)
@given(length=st.integers(1, 60), data=st.data())
def test_pieces_give_the_frames_of_the_whole(
    shape: dict[str, object], length: int, data: st.DataObject
) -> None:
    ends = sorted(data.draw(st.lists(st.integers(0, length), max_size=8)))
    model = network(**shape)
    features = torch.randn(length, N_FEATURES, generator=torch.Generator().manual_seed(length))
    with torch.no_grad():
        expected = model(Padded.stack([features])).data[0]
    torch.testing.assert_close(streamed(model, features, ends), expected, rtol=0, atol=2e-5)


def test_a_state_is_a_value() -> None:
    stream = StreamingNetwork(network())
    features = torch.randn(50, N_FEATURES)
    middle, _ = stream.step(stream.start(N_FEATURES), features[:30])
    first = stream.step(middle, features[30:], last=True)[1]
    stream.step(middle, torch.randn(25, N_FEATURES))  # another way to go on, and its end
    torch.testing.assert_close(stream.step(middle, features[30:], last=True)[1], first)


@pytest.mark.parametrize("shape", SHAPES)
def test_latency_is_what_a_frame_depends_on(shape: dict[str, object]) -> None:
    model = network(**shape, activation="silu")
    stream = StreamingNetwork(model)
    frame = 6
    middle = frame * model.time_stride
    features = torch.randn(120, N_FEATURES)
    with torch.no_grad():
        before = model(Padded.stack([features])).data[0, frame]
        changed = features.clone()
        changed[middle + stream.latency + 1 :] += 1.0
        torch.testing.assert_close(model(Padded.stack([changed])).data[0, frame], before)
        changed[middle + stream.latency] += 30.0
        after = model(Padded.stack([changed])).data[0, frame]
    assert (after - before).abs().max() > 1e-5


def test_lookahead_is_the_sum_that_the_paper_writes() -> None:
    lookahead = Lookahead(3, 2)
    x = Padded.stack([torch.randn(5, 3), torch.randn(2, 3)])
    torch.testing.assert_close(lookahead(x).data, x.data)  # the identity, to begin with
    torch.nn.init.normal_(lookahead.weight)
    found = lookahead(x)
    for row, length in enumerate((5, 2)):
        for t in range(length):
            expected = sum(
                lookahead.weight[:, 0, j] * x.data[row, t + j] for j in range(3) if t + j < length
            )
            torch.testing.assert_close(found.data[row, t], expected)
    assert found.data[1, 2:].abs().sum() == 0


def test_networks_that_cannot_stream_are_refused() -> None:
    with pytest.raises(ConfigError, match="both directions"):
        StreamingNetwork(network(bidirectional=True, lookahead=0))
    with pytest.raises(ConfigError, match="steps by 2"):
        StreamingNetwork(network(conv_kernels=[[5, 1], [3, 5]]))
    with pytest.raises(ConfigError, match="lookahead must be 0"):
        network(bidirectional=True)
