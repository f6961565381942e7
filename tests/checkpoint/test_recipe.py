"""What a checkpoint says of itself is refused in a sentence where it cannot be."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from deepspeech2 import checkpoint
from deepspeech2.errors import CheckpointError
from deepspeech2.trainer import Checkpoints, Progress
from tests.checkpoint.test_checkpoint import content, refused
from tests.trainer.small import make_learner

BEFORE_ALL = {"step": torch.tensor(-1.0)} | dict.fromkeys(
    ("exp_avg", "exp_avg_sq"), torch.zeros(24)
)


def changed(*keys: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(payload: dict[str, Any]) -> None:
        node = payload
        for key in keys[:-1]:
            node = node[key]
        node[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("part", "option", "value", "said"),
    [
        ("model", "rnn_layers", 10**9, "model.rnn_layers cannot be 1000000000"),
        ("model", "rnn_size", 2**20, "belongs to another architecture"),
        ("model", "rnn_size", 2**31 - 1, "its model cannot be made"),
        ("model", "rnn_size", 2**60, "model.rnn_size cannot be"),
        ("model", "rnn_size", -1, "rnn_size must be at least 1"),
        ("model", "n_tokens", -3, "n_tokens must be at least 1"),
        ("model", "n_tokens", 30, "it has 29 tokens, but its network 30"),
        ("model", "n_features", 17, "it has 16 features, but its network 17"),
        ("model", "conv_channels", [2**31 - 1], "belongs to another architecture"),
        ("model", "conv_channels", [None], "model.conv_channels cannot be [None]"),
        ("model", "conv_kernels", [3], "model.conv_kernels cannot be [3]"),
        ("model", "conv_kernels", [[3]], "conv_kernels must be"),
        ("model", "dropout", math.nan, "model.dropout cannot be nan"),
        ("model", "bidirectional", "no", "model.bidirectional cannot be 'no'"),
        ("model", "merge", ["sum"], "model.merge cannot be ['sum']"),
        ("model", "\x1b[2J", 1, "model.?[2J cannot be 1"),
        ("model", "name", ["DeepSpeech2"], "wants a model named ['DeepSpeech2']"),
        ("features", "n_fft", 10**9, "n_fft must be at most"),
        ("features", "n_mels", 10**8, "n_mels must be at most"),
        ("features", "sample_rate", 10**9, "sample_rate must be at most"),
        ("features", "hop_length", 2.5, "features.hop_length cannot be 2.5"),
        ("features", "f_min", math.nan, "features.f_min cannot be nan"),
        ("features", "name", "GreedyDecoder", "wants a features named 'GreedyDecoder'"),
        ("normalization", "eps", None, "normalization.eps cannot be None"),
        ("text_encoder", "alphabet", "ab\x1b", "printable characters, not '\\x1b'"),
        ("text_encoder", "alphabet", "a" * 200_000, "text_encoder.alphabet cannot be 'aaa"),
        ("text_encoder", "remove", 3, "text_encoder.remove cannot be 3"),
        ("decoder", "beam_size", 10**12, "decoder.beam_size cannot be"),
        ("decoder", "hotwords", [1], "decoder.hotwords cannot be [1]"),
        ("decoder", "nbest", "2", "decoder.nbest cannot be '2'"),
    ],
)
def test_arguments_that_cannot_be(
    tmp_path: Path, part: str, option: str, value: Any, said: str
) -> None:
    _, payload = content()
    payload["recipe"]["decoder"] = {"name": "BeamSearchDecoder", "beam_size": 4}
    payload["recipe"][part] = {**payload["recipe"][part], option: value}
    for path in (tmp_path / "x.pth", tmp_path / "x.safetensors"):
        told = refused(path, payload)
        assert said in told
        assert told.isprintable()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (changed("recipe", "model", value=[]), "'recipe' has 'model' with []"),
        (changed("recipe", value=None), "its 'recipe' is None"),
        (changed("metrics", value={"loss": "x"}), "'metrics' has 'loss' with 'x'"),
        (changed("config", value=3), "its 'config' is 3"),
        (changed("training", value={}), None),
        (changed("step", value="7"), "its 'step' is '7'"),
        (changed("state_dict", "network.norm.bias", value=3), "'state_dict' has"),
        (
            changed("state_dict", "network.norm.bias", value=torch.zeros(6, dtype=torch.int64)),
            "'network.norm.bias' as torch.int64",
        ),
        (
            changed("state_dict", "front_end.normalization.std", value=torch.full((16,), math.nan)),
            "must be 16 finite numbers",
        ),
        (
            changed("state_dict", "front_end.normalization.mean", value=torch.zeros(3)),
            "must be 16 finite numbers",
        ),
    ],
)
def test_contents_that_cannot_be(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], said: str | None
) -> None:
    _, payload = content()
    payload["state_dict"] = dict(payload["state_dict"])
    change(payload)
    path = tmp_path / "x.pth"
    if said is None:
        checkpoint.save(payload, path)
        checkpoint.restore(checkpoint.load(path), path)
    else:
        assert said in refused(path, payload)


def test_a_session_is_never_read(tmp_path: Path) -> None:
    """The key stands for a session of ONNX Runtime, which no file of tensors has."""
    _, payload = content()
    marks = {"format": checkpoint.FORMAT, "version": checkpoint.VERSION, "onnx": 1, "stream": {}}
    torch.save({**payload, **marks}, tmp_path / "x.pth")
    checkpoint.restore(checkpoint.load(tmp_path / "x.pth"), tmp_path / "x.pth")


def test_a_language_model_that_never_ends(tmp_path: Path) -> None:
    _, payload = content()
    os.mkfifo(tmp_path / "pipe")
    payload["recipe"]["decoder"] = {"name": "LanguageModelDecoder", "lm": str(tmp_path / "pipe")}
    assert "as its lm, which is no file" in refused(tmp_path / "x.pth", payload)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (changed("optimizer", "state", value={}), None),
        (changed("optimizer", "state", value=None), "another optimizer"),
        (changed("optimizer", "param_groups", 0, "lr", value=math.nan), "lr cannot be nan"),
        (changed("optimizer", "param_groups", 0, "betas", value=[0.9]), "betas has 1 entries"),
        (changed("optimizer", "param_groups", 0, "betas", value=(1e20, 0.9)), "betas cannot be"),
        (changed("optimizer", "param_groups", 0, "betas", value=(1.5, 0.9)), "Invalid beta"),
        (changed("optimizer", "param_groups", 0, "params", value=0.5), "another optimizer"),
        (changed("optimizer", "param_groups", value=[3]), "another optimizer"),
        (changed("optimizer", "state", value={"network.norm.bias": BEFORE_ALL}), "taken -1.0"),
        (changed("lr_scheduler", "last_epoch", value="3"), "last_epoch cannot be '3'"),
        (changed("lr_scheduler", "last_epoch", value=19), "taken 19 steps, but its training 1"),
        (changed("lr_scheduler", value=[]), "another lr_scheduler"),
        (changed("progress", "step", value=-1), "progress cannot have step=-1"),
        (changed("progress", value=3), "lacks key 'progress'"),
        (changed("ema", value="ema"), "no moving average"),
        (changed("ema", "steps", value=None), "a moving average of other weights"),
        (changed("ema", "weights", "norm.bias", value=torch.zeros(2)), "a moving average of other"),
    ],
)
def test_states_of_a_training_that_cannot_be(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], said: str | None
) -> None:
    learner = make_learner(ema=0.9)
    recipe: dict[str, Any] = {
        part: {"name": part} for part in ("model", "features", "normalization", "text_encoder")
    }
    checkpoints = Checkpoints(tmp_path, learner, recipe, {}, {"trainer.seed": 1})
    path = tmp_path / "x.pth"
    checkpoints.save(path, Progress(step=1))
    whole = checkpoint.load(path)
    checkpoints.resume(whole, path)
    change(whole["training"])
    if said is None:
        checkpoints.resume(whole, path)
        return
    with pytest.raises(CheckpointError) as caught:
        checkpoints.resume(whole, path)
    assert said in str(caught.value)
