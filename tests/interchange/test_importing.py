"""Networks of other programs say the same here as there."""

from __future__ import annotations

import subprocess
import sys
import warnings
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import torch
import torchaudio
from omegaconf import OmegaConf
from torch import Tensor, nn

from deepspeech2 import checkpoint
from deepspeech2.errors import CheckpointError
from deepspeech2.extras.interchange import convert, import_checkpoint
from deepspeech2.paths import ROOT
from deepspeech2.types import Padded
from tests.interchange.rebuilt import DeepSpeechPytorch, Predecessor, lived

SETTINGS = {
    "model": {"_target_": "deepspeech2.model.DeepSpeech2", "n_feats": 128, "fc_hidden": 512},
    "text_encoder": {"_target_": "src.text_encoder.CTCTextEncoder"},
    "transforms": {
        "instance_transforms": {
            "inference": {
                "get_spectrogram": {
                    "_target_": "torchaudio.transforms.MelSpectrogram",
                    "sample_rate": "${rate}",
                }
            }
        }
    },
    "rate": 16000,
}


def predecessor_file(path: Path, network: nn.Module, **more: Any) -> Path:
    content = {
        "arch": "DeepSpeech2",
        "epoch": 50,
        "state_dict": network.state_dict(),
        "optimizer": torch.optim.AdamW(network.parameters()).state_dict(),
        "lr_scheduler": {"last_epoch": 3, "_schedule_phases": [{"end_step": 2.0}]},
        "monitor_best": 0.21,
        "config": OmegaConf.create(SETTINGS),
        **more,
    }
    torch.save(content, path)
    return path


def wave(seconds: float = 1.3) -> Tensor:
    return 0.1 * torch.randn(int(16000 * seconds), generator=torch.Generator().manual_seed(1))


def ours(path: Path, samples: Tensor) -> Tensor:
    """Log-probabilities (T', V) of the checkpoint, of the second utterance of a batch."""
    restored = checkpoint.restore(checkpoint.load(path), path)
    longer = torch.cat([samples, wave(0.7)])
    batch = Padded.stack([longer, samples])
    with torch.no_grad():
        out = restored.pipeline.emissions(batch)
    return out.data[1, : out.lengths[1]]


@torch.no_grad()
def of_the_predecessor(network: nn.Module, samples: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of mel filters that are empty
        spectrum = torchaudio.transforms.MelSpectrogram(sample_rate=16000)
    return network(torch.log(spectrum(samples) + 1e-6))


@torch.no_grad()
def of_deepspeech_pytorch(network: nn.Module, samples: Tensor) -> Tensor:
    window = torch.hamming_window(320)
    spectrum = torch.stft(samples, 320, 160, window=window, return_complex=True)
    features = torch.log1p(spectrum.abs())
    return network((features - features.mean()) / features.std())


@pytest.mark.parametrize(
    ("channels", "size", "layers", "parameters"),
    [((32, 96, 96), 512, 7, 28_086_844), ((4, 6, 5), 16, 2, None)],
)
def test_the_predecessor_says_the_same(
    tmp_path: Path, channels: tuple[int, int, int], size: int, layers: int, parameters: int | None
) -> None:
    torch.manual_seed(0)
    network = lived(Predecessor(channels, size, layers))
    if parameters is not None:
        assert sum(each.numel() for each in network.parameters()) == parameters
    output = tmp_path / "ours.pth"
    converted = import_checkpoint(predecessor_file(tmp_path / "theirs.pth", network), output)
    expected = of_the_predecessor(network, wave())
    torch.testing.assert_close(ours(output, wave()), expected, atol=1e-5, rtol=0)
    assert converted.unused == []
    assert checkpoint.load(output)["epoch"] == 50
    assert checkpoint.load(output)["recipe"]["text_encoder"]["alphabet"][-2:] == "z "


@pytest.mark.parametrize("cell", [nn.LSTM, nn.GRU, nn.RNN])
def test_deepspeech_pytorch_says_the_same(tmp_path: Path, cell: type[nn.RNNBase]) -> None:
    torch.manual_seed(0)
    network = lived(DeepSpeechPytorch(cell, 24, 3))
    content = {
        "state_dict": {f"module.{key}": each for key, each in network.state_dict().items()},
        "labels": "_'ABCDEFGHIJKLMNOPQRSTUVWXYZ ",
        "audio_conf": {"sample_rate": 16000, "window_size": 0.02, "window_stride": 0.01},
        "hidden_layers": 3,
        "rnn_type": "lstm",
        "version": "0.0.1",
    }
    torch.save(content, tmp_path / "theirs.pth")
    converted = import_checkpoint(tmp_path / "theirs.pth", tmp_path / "ours.pth")
    expected = of_deepspeech_pytorch(network, wave())
    torch.testing.assert_close(ours(tmp_path / "ours.pth", wave()), expected, atol=2e-5, rtol=0)
    assert converted.recipe["model"]["rnn_type"] == cell.__name__.lower()
    assert converted.recipe["text_encoder"]["alphabet"] == "'abcdefghijklmnopqrstuvwxyz "


class Window(Enum):
    hamming = "hamming"


Window.__module__ = "deepspeech_pytorch.enums"


def test_a_blank_in_another_place_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels and window come from what Lightning pickled: omegaconf and an enum."""
    module = type(sys)("deepspeech_pytorch.enums")
    module.Window = Window  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "deepspeech_pytorch", type(sys)("deepspeech_pytorch"))
    monkeypatch.setitem(sys.modules, "deepspeech_pytorch.enums", module)
    torch.manual_seed(0)
    network = lived(DeepSpeechPytorch(nn.GRU, 16, 2, n_labels=4))
    spectrum = {"sample_rate": 16000, "window_size": 0.02, "window_stride": 0.01}
    settings = {"labels": ["ä", "B", "_", " "], "spect_cfg": OmegaConf.create(spectrum)}
    torch.save(
        {
            "pytorch-lightning_version": "1.1.0",
            "state_dict": network.state_dict(),
            "hyper_parameters": {**settings, "window": Window.hamming},
        },
        tmp_path / "theirs.ckpt",
    )
    monkeypatch.delitem(sys.modules, "deepspeech_pytorch.enums")
    converted = import_checkpoint(tmp_path / "theirs.ckpt", tmp_path / "ours.pth")
    expected = of_deepspeech_pytorch(network, wave())[:, [2, 0, 1, 3]]
    torch.testing.assert_close(ours(tmp_path / "ours.pth", wave()), expected, atol=2e-5, rtol=0)
    assert converted.recipe["text_encoder"]["alphabet"] == "äB "


def test_what_was_mapped_is_told(tmp_path: Path) -> None:
    network = lived(DeepSpeechPytorch(nn.LSTM, 8, 2))
    weights = {**network.state_dict(), "criterion.weight": torch.ones(3)}
    torch.save({"state_dict": weights}, tmp_path / "theirs.pth")
    command = [sys.executable, str(ROOT / "scripts/import_checkpoint.py"), "theirs.pth"]
    done = subprocess.run(
        [*command, "--output", "ours.pth"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    folded = lines["conv.seq_module.1.running_mean"]
    assert "less conv.seq_module.0.bias" in folded
    assert "rnns.1.rnn.weight_hh_l0_reverse" in lines
    assert "network.layers.1.back.weight_hh_l0" in lines["rnns.1.rnn.weight_hh_l0_reverse"]
    assert "there is no normalisation there" in done.stdout
    assert "left out: criterion.weight" in done.stdout
    parameters = sum(each.numel() for each in network.parameters())
    made = 2 * 1312 + 29 - 64  # a normalisation and the last bias, less the folded biases
    assert f"{parameters + made:,} parameters" in done.stdout
    again = subprocess.run(
        [*command, "--output", "ours.pth"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr.count("\n") == 1
    assert "ours.pth is there already" in again.stderr


def broken(weights: dict[str, Tensor], change: str) -> dict[str, Tensor]:
    if change == "lacks":
        del weights["gru.1.gru.weight_hh_l0_reverse"]
    elif change == "shape":
        weights["gru.1.gru.weight_hh_l0"] = torch.zeros(3, 3)
    elif change == "tokens":
        weights["final.weight"] = torch.zeros(40, 16)
    elif change == "convolutions":
        weights |= {"conv_lay.9.weight": torch.zeros(1), "conv_lay.10.weight": torch.zeros(1)}
    elif change == "unknown":
        weights = {"encoder.weight": torch.zeros(2)}
    return weights


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("lacks", "it lacks 'gru.1.gru.weight_hh_l0_reverse'"),
        ("shape", "'network.layers.1.ahead.weight_hh_l0' is (3, 3) there and (48, 16) here"),
        ("tokens", "its last layer has 40 tokens, but its alphabet"),
        ("convolutions", "it has 4 convolutions"),
        ("unknown", "neither the predecessor nor deepspeech.pytorch"),
    ],
)
def test_another_network_is_refused(tmp_path: Path, change: str, said: str) -> None:
    weights = broken(dict(lived(Predecessor((4, 6, 5), 16, 2)).state_dict()), change)
    torch.save({"state_dict": weights}, tmp_path / "theirs.pth")
    with pytest.raises(CheckpointError) as caught:
        convert(tmp_path / "theirs.pth")
    assert said in str(caught.value)
    assert "theirs.pth" in str(caught.value)


def test_networks_that_ours_cannot_be_are_refused(tmp_path: Path) -> None:
    network = DeepSpeechPytorch(nn.GRU, 8, 1)
    ahead = {**network.state_dict(), "lookahead.0.conv.weight": torch.zeros(8, 1, 20)}
    torch.save({"state_dict": ahead}, tmp_path / "ahead.pth")
    with pytest.raises(CheckpointError, match="runs in one direction and clips"):
        convert(tmp_path / "ahead.pth")
    settings = {"audio_conf": {"window_size": 0.025}}
    torch.save({"state_dict": network.state_dict(), **settings}, tmp_path / "wide.pth")
    with pytest.raises(CheckpointError, match=r"read 1312 features, but a window of 400 samples"):
        convert(tmp_path / "wide.pth")
