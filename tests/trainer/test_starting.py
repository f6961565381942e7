"""Weights of one network begin another: what fits is taken, and said what does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from deepspeech2.errors import CheckpointError, ConfigError
from deepspeech2.model import DeepSpeech2
from deepspeech2.pipeline import Pipeline
from deepspeech2.text import TextEncoder
from deepspeech2.trainer import freeze, start_from
from deepspeech2.transforms import FrontEnd, GlobalNormalization, LogMelSpectrogram
from deepspeech2.types import Padded

PATH = Path("there.pth")
SHAPE: dict[str, Any] = {
    "conv_channels": (4, 4),
    "conv_kernels": ((5, 3), (5, 3)),
    "conv_strides": ((2, 2), (2, 1)),
    "rnn_layers": 2,
    "rnn_size": 8,
}


def made(seed: int, alphabet: str = "ab ", n_mels: int = 16, **changes: Any) -> tuple[Any, Any]:
    torch.manual_seed(seed)
    front_end = FrontEnd(LogMelSpectrogram(n_mels=n_mels, n_fft=128, hop_length=64))
    network = DeepSpeech2(n_mels, len(alphabet) + 1, **{**SHAPE, **changes})
    recipe = {
        "features": {"name": "LogMelSpectrogram", "n_mels": n_mels},
        "normalization": {"name": "NoNormalization"},
        "text_encoder": {"name": "TextEncoder", **TextEncoder(alphabet).settings},
    }
    return Pipeline(front_end, network), recipe


def start(new: tuple[Any, Any], old: tuple[Any, Any]) -> list[str]:
    content = {"state_dict": old[0].state_dict(), "recipe": old[1]}
    return start_from(new[0], new[1], content, PATH)


def test_the_same_network_is_the_same() -> None:
    new, old = made(1), made(2)
    lines = start(new, old)
    for key, value in old[0].state_dict().items():
        assert torch.equal(new[0].state_dict()[key], value)
    assert len(lines) == 1
    count = len(old[0].state_dict())
    assert f"{count} of {count} tensors" in lines[0]


def test_characters_are_taken_wherever_they_stand() -> None:
    new, old = made(1, "bcä "), made(2, " ab'")
    fresh = new[0].network.output.weight.detach().clone()
    lines = start(new, old)
    weight, bias = new[0].network.output.weight, new[0].network.output.bias
    before = old[0].network.output
    for here, there in {0: 0, 1: 3, 4: 1}.items():  # blank, b, space
        assert torch.equal(weight[here], before.weight[there])
        assert bias[here] == before.bias[there]
    for here in (2, 3):
        assert torch.equal(weight[here], fresh[here])
    assert "characters that begin anew: 'c' 'ä'" in lines
    assert "characters that are gone: 'a' \"'\"" in lines


@pytest.mark.parametrize("value", [torch.tensor(1.0), 3, None])
def test_a_last_layer_that_is_none_begins_anew(value: object) -> None:
    new, old = made(1), made(2)
    content = {**old[0].state_dict(), "network.output.bias": value}
    lines = start_from(new[0], new[1], {"state_dict": content, "recipe": old[1]}, PATH)
    assert "network.output begins anew: it has another width" in lines


def test_another_number_of_features_begins_the_first_recurrence_anew() -> None:
    new, old = made(1, n_mels=32), made(2)
    fresh = new[0].network.layers[0].ahead.weight_hh_l0.detach().clone()
    lines = start(new, old)
    network, before = new[0].network, old[0].network
    assert torch.equal(
        network.convolutions.blocks[1].convolution.weight,
        before.convolutions.blocks[1].convolution.weight,
    )
    assert torch.equal(network.layers[1].back.weight_ih_l0, before.layers[1].back.weight_ih_l0)
    assert torch.equal(network.layers[0].ahead.weight_hh_l0, fresh)
    said = "\n".join(lines)
    assert "network.layers.0.ahead begins anew: weight_ih_l0 is (24, 16) there" in said
    assert "network.layers.0.norm begins anew" in said
    assert "n_mels was 16 there and is 32 here" in said


def test_fewer_layers_and_other_widths() -> None:
    lines = start(made(1, rnn_layers=1), made(2))
    assert "network.layers.1.norm, network.layers.1.ahead, network.layers.1.back of it" in lines[1]
    lines = start(made(1, rnn_size=16), made(2))
    assert "network.output begins anew: it has another width" in lines
    with pytest.raises(CheckpointError, match=r"no layer of there\.pth fits"):
        start(made(1, rnn_size=16, conv_channels=(3, 3)), made(2))


def test_statistics_of_features_are_taken_if_they_fit() -> None:
    new, old = made(1), made(2)
    new[0].front_end.normalization = GlobalNormalization()
    old[0].front_end.normalization = GlobalNormalization([1.0] * 16, [2.0] * 16)
    start(new, old)
    assert new[0].front_end.normalization.mean.tolist() == [1.0] * 16


def test_frozen_parameters_and_statistics_stay() -> None:
    pipeline, _ = made(1)
    network = pipeline.network
    frozen = freeze(network, ["convolutions.*", "layers.0.*"])
    before = {key: value.clone() for key, value in network.state_dict().items()}
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=0.1)
    network.train()
    for _ in range(2):
        out = network(Padded(torch.randn(3, 40, 16), torch.tensor([40, 30, 20])))
        optimizer.zero_grad()
        out.data.square().sum().backward()
        optimizer.step()
    for key, value in network.state_dict().items():
        still = key.startswith(("convolutions.", "layers.0."))
        assert torch.equal(value, before[key]) == still, key
    assert "layers.0.ahead.weight_hh_l0" in frozen
    assert "layers.1.norm.weight" not in frozen


def test_patterns_that_match_nothing_or_everything() -> None:
    network = made(1)[0].network
    with pytest.raises(ConfigError, match=r"'conv\.\*', which no parameter's name matches"):
        freeze(network, ["conv.*"])
    with pytest.raises(ConfigError, match="freezes everything"):
        freeze(network, ["*"])
    assert all(parameter.requires_grad for parameter in network.parameters())
