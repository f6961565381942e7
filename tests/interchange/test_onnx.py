"""ONNX Runtime gives what torch gives, for every kind of network and features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from deepspeech2 import checkpoint
from deepspeech2.errors import CheckpointError, ConfigError
from deepspeech2.extras.interchange.exporting import export
from deepspeech2.text import TextEncoder
from deepspeech2.types import Padded
from tests.interchange.rebuilt import lived

SHAPE: dict[str, Any] = {
    "n_features": 24,
    "n_tokens": 29,
    "conv_channels": [5, 4],
    "conv_kernels": [[7, 7], [5, 3]],
    "conv_strides": [[3, 2], [2, 2]],
    "rnn_layers": 2,
    "rnn_size": 12,
}
MEL = {"name": "LogMelSpectrogram", "n_mels": 24}
UTTERANCE = {"name": "UtteranceNormalization"}
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "gru": ({}, MEL, UTTERANCE),
    "lstm, concat, relu": (
        {"rnn_type": "lstm", "merge": "concat", "activation": "relu"},
        {"name": "LogMagnitudeSpectrogram"},
        {"name": "UtteranceNormalization", "per_feature": False},
    ),
    "rnn, gelu": (
        {"rnn_type": "rnn", "activation": "gelu"},
        {"name": "LogSpectrogram", "n_fft": 128, "hop_length": 50},
        {"name": "NoNormalization"},
    ),
    "one direction, silu": (
        {"bidirectional": False, "lookahead": 3, "activation": "silu"},
        MEL,
        {"name": "GlobalNormalization"},
    ),
    "self-conditioned, trained with phones": (
        {"intermediate": [1], "self_conditioned": True, "phones_after": 1, "phones": ["a", "b"]},
        MEL,
        UTTERANCE,
    ),
}


def made(tmp_path: Path, case: str, seed: int = 1) -> Path:
    changes, features, normalization = CASES[case]
    torch.manual_seed(seed)
    width = {"LogMagnitudeSpectrogram": 161, "LogSpectrogram": 65}.get(features["name"], 24)
    shape = {**SHAPE, **changes, "n_features": width}
    network = lived(checkpoint.COMPONENTS["DeepSpeech2"](**shape))
    weights = {f"network.{key}": value for key, value in network.state_dict().items()}
    if normalization["name"] == "GlobalNormalization":
        weights["front_end.normalization.mean"] = torch.randn(width) - 5
        weights["front_end.normalization.std"] = torch.rand(width) + 0.5
    content = {
        "arch": "DeepSpeech2",
        "recipe": {
            "model": {"name": "DeepSpeech2", **shape},
            "features": features,
            "normalization": normalization,
            "text_encoder": {"name": "TextEncoder", **TextEncoder().settings},
            "decoder": {"name": "BeamSearchDecoder", "beam_size": 7},
        },
        "state_dict": weights,
        "epoch": 3,
        "metrics": {"val/loss": 1.5},
        "config": {"data_dir": "/home/ann/speech"},
    }
    checkpoint.save(content, tmp_path / "model.pth")
    return tmp_path / "model.pth"


def batch() -> Padded:
    generator = torch.Generator().manual_seed(2)
    waves = [0.1 * torch.randn(n, generator=generator) for n in (16000, 9999, 4321, 700, 150)]
    return Padded.stack(waves)


def emissions(path: Path, waveforms: Padded) -> Padded:
    restored = checkpoint.restore(checkpoint.load(path), path)
    with torch.no_grad():
        return restored.pipeline.emissions(waveforms)


@pytest.mark.parametrize("case", CASES)
def test_the_same_as_torch(tmp_path: Path, case: str) -> None:
    source, output = made(tmp_path, case), tmp_path / "model.onnx"
    export(source, output)
    expected, found = emissions(source, batch()), emissions(output, batch())
    assert torch.equal(found.lengths, expected.lengths)
    for row, length in enumerate(expected.lengths):
        torch.testing.assert_close(
            found.data[row, :length], expected.data[row, :length], atol=2e-4, rtol=0
        )
    nothing = Padded(batch().data, torch.zeros_like(batch().lengths))
    lengths = emissions(output, nothing).lengths
    assert torch.equal(lengths, emissions(source, nothing).lengths)
    alone = emissions(output, Padded.stack([batch().data[2, :4321]]))
    torch.testing.assert_close(alone.data[0], found.data[2, : alone.lengths[0]], atol=1e-4, rtol=0)


def test_weights_in_eight_bits(tmp_path: Path) -> None:
    source = made(tmp_path, "gru")
    export(source, tmp_path / "float.onnx")
    export(source, tmp_path / "small.onnx", int8=True)
    whole, small = emissions(source, batch()), emissions(tmp_path / "small.onnx", batch())
    mask = whole.mask()
    difference = (small.data.exp() - whole.data.exp())[mask].abs()
    assert 0 < difference.max() < 0.05
    ratio = (tmp_path / "small.onnx").stat().st_size / (tmp_path / "float.onnx").stat().st_size
    assert ratio < 1.0


def test_without_this_project(tmp_path: Path) -> None:
    """Two arrays in, two out, by the names that the documentation gives."""
    source, output = made(tmp_path, "gru"), tmp_path / "model.onnx"
    export(source, output)
    session = onnxruntime.InferenceSession(output.read_bytes())
    samples = batch().data[:1, :9999].numpy()
    given = {"waveforms": samples, "lengths": np.array([9999])}
    log_probs, frames = session.run(["log_probs", "frames"], given)
    assert log_probs.shape == (1, frames[0], 29)
    np.testing.assert_allclose(np.exp(log_probs).sum(2), 1.0, atol=1e-5)


def test_what_is_no_model_of_ours(tmp_path: Path) -> None:
    source, output = made(tmp_path, "gru"), tmp_path / "model.onnx"
    export(source, output)
    assert b"/home/ann" not in output.read_bytes()
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(output.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"broken\.onnx is cut off or no ONNX model"):
        checkpoint.load(broken)
    with pytest.raises(CheckpointError, match="is of ONNX already"):
        export(output, tmp_path / "again.pth")
    with pytest.raises(CheckpointError, match=r"which only deepspeech2 export writes"):
        checkpoint.save(checkpoint.load(output), tmp_path / "other.onnx")
    with pytest.raises(ConfigError, match=r"--int8 is for \.onnx only"):
        export(source, tmp_path / "small.pth", int8=True)
    with pytest.raises(ConfigError, match=r"--streaming is for \.onnx only"):
        export(source, tmp_path / "stream.safetensors", streaming=True)
    restored = checkpoint.restore(checkpoint.load(output), output)
    assert all(weight.isnan().all() for weight in restored.pipeline.network.parameters())
