"""A streaming model in ONNX, piece by piece, gives what torch gives for the whole."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from deepspeech2 import checkpoint
from deepspeech2.errors import AudioError, ConfigError
from deepspeech2.extras.interchange.exporting import export
from deepspeech2.inference import Recognizer, StreamingRecognizer
from deepspeech2.text import TextEncoder
from deepspeech2.types import Padded
from tests.interchange.rebuilt import lived
from tests.interchange.test_onnx import made as for_batches

SHAPE: dict[str, Any] = {
    "n_features": 16,
    "n_tokens": 29,
    "conv_channels": [5, 4],
    "conv_kernels": [[7, 11], [5, 5]],
    "conv_strides": [[3, 2], [2, 2]],
    "rnn_layers": 2,
    "rnn_size": 12,
    "bidirectional": False,
    "lookahead": 6,
}
MEL = {"name": "LogMelSpectrogram", "n_mels": 16, "n_fft": 400, "hop_length": 160}
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "gru": ({}, MEL),
    "self-conditioned": ({"intermediate": [1], "self_conditioned": True}, MEL),
    "lstm, relu, no lookahead": ({"rnn_type": "lstm", "activation": "relu", "lookahead": 0}, MEL),
    "rnn, one convolution, windows that overlap by half": (
        {
            "rnn_type": "rnn",
            "activation": "silu",
            "conv_channels": [3],
            "conv_kernels": [[3, 3]],
            "conv_strides": [[2, 2]],
        },
        {**MEL, "n_fft": 320},
    ),
}


def made(folder: Path, case: str) -> Path:
    """A checkpoint with random weights that changes its mind often."""
    changes, features = CASES[case]
    shape = {**SHAPE, **changes}
    torch.manual_seed(4)
    network = lived(checkpoint.COMPONENTS["DeepSpeech2"](**shape))
    network.output.weight.data.normal_(std=3.0)
    weights = {f"network.{key}": value for key, value in network.state_dict().items()}
    weights["front_end.normalization.mean"] = torch.randn(16) - 6
    weights["front_end.normalization.std"] = torch.rand(16) + 1.5
    content = {
        "arch": "DeepSpeech2",
        "recipe": {
            "model": {"name": "DeepSpeech2", **shape},
            "features": features,
            "normalization": {"name": "GlobalNormalization"},
            "text_encoder": {"name": "TextEncoder", **TextEncoder().settings},
            "decoder": {"name": "BeamSearchDecoder", "beam_size": 5},
        },
        "state_dict": weights,
    }
    checkpoint.save(content, folder / "model.pth")
    return folder / "model.pth"


@pytest.fixture(scope="module", params=CASES)
def models(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """The same model for torch and for ONNX Runtime."""
    folder = tmp_path_factory.mktemp("stream")
    source = made(folder, request.param)
    export(source, folder / "model.onnx", streaming=True)
    return source, folder / "model.onnx"


def noise(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    loud = torch.rand(count // 3000 + 1, generator=generator).repeat_interleave(3000)[:count]
    return 0.3 * loud * torch.randn(count, generator=generator).clamp(-3, 3)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(count=st.integers(1, 40000), data=st.data())
def test_pieces_of_any_size(models: tuple[Path, Path], count: int, data: st.DataObject) -> None:
    source, output = models
    stream = StreamingRecognizer.from_checkpoint(output, device="cpu")
    whole = Recognizer.from_checkpoint(source, device="cpu")
    samples = noise(count)
    ends = sorted(data.draw(st.lists(st.integers(0, count), max_size=12)))
    state = stream.start()
    for first, end in pairwise((0, *ends, count)):
        state = stream.hear(state, samples[first:end])
    expected = whole.emissions(samples).data[0]
    found = stream.emissions(state)
    torch.testing.assert_close(found, expected, rtol=0, atol=5e-4)
    assert stream.finish(state).text == whole.transcribe(samples).text
    assert stream.finish(state).text == stream.recognizer.transcribe(samples).text


def test_frames_come_as_early_as_with_torch(models: tuple[Path, Path]) -> None:
    ours, theirs = (StreamingRecognizer.from_checkpoint(path, device="cpu") for path in models)
    assert ours.latency == theirs.latency
    state, other = ours.start(), theirs.start()
    for piece in noise(32000).split(100):
        state, other = ours.hear(state, piece), theirs.hear(other, piece)
        assert 0 <= state.n_frames - other.n_frames <= 1
    assert state.n_frames > 20


def test_a_state_is_a_value(models: tuple[Path, Path]) -> None:
    stream = StreamingRecognizer.from_checkpoint(models[1], device="cpu")
    middle = stream.hear(stream.start(), noise(20000))
    loud, quiet = stream.hear(middle, noise(9000)), stream.hear(middle, torch.zeros(9000))
    again = stream.hear(middle, noise(9000))
    assert torch.equal(stream.emissions(loud), stream.emissions(again))
    assert not torch.equal(stream.emissions(loud)[-9:], stream.emissions(quiet)[-9:])
    with pytest.raises(AudioError, match="must have at least one sample"):
        stream.finish(stream.start())


def test_batches_go_through_it_as_well(models: tuple[Path, Path]) -> None:
    waves = Padded.stack([noise(n) for n in (16000, 9999, 700, 1)])
    restored = [checkpoint.restore(checkpoint.load(path), path) for path in models]
    with torch.no_grad():
        expected, found = (each.pipeline.emissions(waves) for each in restored)
    assert torch.equal(found.lengths, expected.lengths)
    for ours, theirs in zip(found.unpad(), expected.unpad(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=5e-4)


def test_without_this_project(models: tuple[Path, Path]) -> None:
    """The loop of docs/how-to/export.md: what is needed stands in the file's metadata."""
    import json

    session = onnxruntime.InferenceSession(models[1].read_bytes())
    told = json.loads(session.get_modelmeta().custom_metadata_map["deepspeech2"])["stream"]
    state = {
        name: np.zeros(shape, np.int64 if name == "skip" else np.float32)
        for name, shape in told["state"].items()
    }
    samples = noise(30000).numpy()
    ends = [*range(told["first_samples"], len(samples), told["samples"]), len(samples)]
    frames = []
    for begin, end in pairwise([0, *ends]):
        given = {"samples": samples[begin:end], "last": np.array([int(end == len(samples))])}
        log_probs, *after = session.run(None, {**given, **state})
        state = dict(zip(state, after, strict=True))
        frames.append(log_probs)
    assert min(map(len, frames)) >= 1
    expected = Recognizer.from_checkpoint(models[0], device="cpu").emissions(torch.tensor(samples))
    np.testing.assert_allclose(np.concatenate(frames), expected.data[0].numpy(), atol=5e-4)


def test_weights_in_eight_bits(models: tuple[Path, Path], tmp_path: Path) -> None:
    small = tmp_path / "small.onnx"
    export(models[0], small, streaming=True, int8=True)
    samples = noise(20000)
    whole, rounded = (
        Recognizer.from_checkpoint(path, device="cpu").emissions(samples).data
        for path in (models[1], small)
    )
    assert 0 < (whole.exp() - rounded.exp()).abs().max() < 0.3
    assert small.stat().st_size < models[1].stat().st_size


def test_what_cannot_stream(tmp_path: Path) -> None:
    both = for_batches(tmp_path, "gru")
    with pytest.raises(ConfigError, match="waits for the end of an utterance, and cannot stream"):
        export(both, tmp_path / "stream.onnx", streaming=True)
    source = made(tmp_path, "gru")
    export(source, tmp_path / "whole.onnx")
    with pytest.raises(ConfigError, match="takes whole utterances and cannot stream: export it"):
        StreamingRecognizer.from_checkpoint(tmp_path / "whole.onnx")
