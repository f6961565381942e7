"""Checkpoints restore what was saved, refuse what is not theirs, and execute nothing."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import pickle
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import pytest
import torch

from deepspeech2 import checkpoint
from deepspeech2.checkpoint.restore import _decoder
from deepspeech2.decoding import GreedyDecoder
from deepspeech2.errors import CheckpointError, ConfigError
from deepspeech2.model import DeepSpeech2
from deepspeech2.pipeline import Pipeline
from deepspeech2.text import TextEncoder
from deepspeech2.transforms import FrontEnd, GlobalNormalization, LogMelSpectrogram
from deepspeech2.types import Padded
from tests.disks import as_nobody

MODEL: dict[str, Any] = {
    "conv_channels": [2],
    "conv_kernels": [[3, 3]],
    "conv_strides": [[4, 2]],
    "rnn_layers": 1,
    "rnn_size": 6,
    "n_features": 16,
    "n_tokens": 29,
}
FEATURES = {"n_mels": 16, "hop_length": 160}


def content() -> tuple[Pipeline, dict[str, Any]]:
    torch.manual_seed(0)
    normalization = GlobalNormalization([0.5] * 16, [2.0] * 16)
    pipeline = Pipeline(
        FrontEnd(LogMelSpectrogram(**FEATURES), normalization),  # type: ignore[arg-type]
        DeepSpeech2(**MODEL),
    )
    encoder = TextEncoder()
    recipe = {
        "model": {"name": "DeepSpeech2", **MODEL},
        "features": {"name": "LogMelSpectrogram", **FEATURES},
        "normalization": {"name": "GlobalNormalization"},
        "text_encoder": {"name": "TextEncoder", **encoder.settings},
        "decoder": {"name": "GreedyDecoder", **GreedyDecoder(encoder).settings},
    }
    return pipeline.eval(), {"recipe": recipe, "state_dict": pipeline.state_dict(), "step": 7}


def test_restored_pipeline_says_the_same(tmp_path: Path) -> None:
    pipeline, payload = content()
    path = tmp_path / "model.pth"
    checkpoint.save(payload, path)
    restored = checkpoint.restore(checkpoint.load(path), path)
    waves = Padded.stack([torch.randn(4000), torch.randn(2500)])
    expected = pipeline.emissions(waves).data
    torch.testing.assert_close(restored.pipeline.emissions(waves).data, expected, rtol=0, atol=0)
    assert restored.text_encoder == TextEncoder()
    assert restored.decoder.name == "Argmax"


def refused(path: Path, payload: dict[str, Any] | None = None) -> str:
    if payload is not None:
        checkpoint.save(payload, path)
    with pytest.raises(CheckpointError) as caught:
        checkpoint.restore(checkpoint.load(path), path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_missing_cut_off_and_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    assert "does not exist" in refused(path)
    path.write_bytes(b"")
    assert "cut off or no checkpoint" in refused(path)
    path.write_text("these are words")
    assert str(path) in refused(path)
    checkpoint.save(content()[1], path)
    whole = path.read_bytes()
    for share in (0.2, 0.5, 0.99):
        path.write_bytes(whole[: int(len(whole) * share)])
        assert str(path) in refused(path)
    torch.save({"state_dict": {}}, path)
    assert "key 'format'" in refused(path)
    torch.save([1, 2], path)
    assert "not a checkpoint of this project" in refused(path)


class Bomb:
    """Unpickled carelessly, it makes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch '{self.target}'",)


@pytest.mark.parametrize(
    "write", [torch.save, lambda obj, path: path.write_bytes(pickle.dumps(obj))]
)
def test_nothing_is_executed(tmp_path: Path, write: Callable[[Any, Path], Any]) -> None:
    path, proof = tmp_path / "model.pth", tmp_path / "executed"
    write({"format": checkpoint.FORMAT, "recipe": Bomb(proof), "state_dict": {}}, path)
    assert "nothing of it was loaded" in refused(path)
    assert not proof.exists()


def test_a_recipe_cannot_name_other_code(tmp_path: Path) -> None:
    _, payload = content()
    payload["recipe"]["model"] = {"name": "os.system", "command": "true"}
    assert "no part of this program" in refused(tmp_path / "model.pth", payload)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p["recipe"]["model"].update(rnn_size=8), "is (18, 8) there and (24, 8) here"),
        (lambda p: p["recipe"]["model"].update(rnn_layers=2), "it lacks 'network.layers.1"),
        (lambda p: p["recipe"]["model"].update(rnn_layers=0), "rnn_layers must be at least 1"),
        (lambda p: p["recipe"]["model"].update(wings=2), "wings"),
        (lambda p: p["recipe"].pop("features"), "lacks recipe key 'features'"),
        (lambda p: p["state_dict"].update(extra=torch.zeros(1)), "'extra' has no place here"),
        (lambda p: p["state_dict"].pop("network.output.bias"), "lacks 'network.output.bias'"),
        (lambda p: p.pop("state_dict"), "lacks key 'state_dict'"),
        (lambda p: p.update(version=99), "has version 99"),
    ],
)
def test_misfits_name_the_key(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    _, payload = content()
    payload["state_dict"] = dict(payload["state_dict"])
    change(payload)
    assert message in refused(tmp_path / "model.pth", payload)


def test_resuming_with_another_recipe_names_the_difference(tmp_path: Path) -> None:
    _, payload = content()
    other = {part: dict(options) for part, options in payload["recipe"].items()}
    other["model"]["rnn_size"] = 64
    with pytest.raises(CheckpointError, match=r"model.rnn_size=6, but the config says 64"):
        checkpoint.check_recipe(payload, other, tmp_path)
    checkpoint.check_recipe(payload, payload["recipe"], tmp_path)


def test_a_file_that_changed_meanwhile_is_left(tmp_path: Path) -> None:
    """Training may write while a decoder is tuned; its network is another then."""
    path = tmp_path / "model.pth"
    content = {
        "recipe": {"model": {}, "decoder": {"name": "a"}},
        "state_dict": {"w": torch.ones(2)},
    }
    checkpoint.save(content, path)
    origin = hashlib.sha256(path.read_bytes()).hexdigest()
    network = checkpoint.network_digest(path)
    checkpoint.change(path, origin, lambda held: held["recipe"].update(decoder={"name": "b"}))
    assert checkpoint.load(path)["recipe"]["decoder"] == {"name": "b"}
    assert checkpoint.network_digest(path) == network
    with pytest.raises(CheckpointError, match="has changed since its network was measured"):
        checkpoint.change(path, origin, lambda held: held.clear())
    assert checkpoint.load(path)["recipe"]["decoder"] == {"name": "b"}
    checkpoint.save({**content, "state_dict": {"w": torch.zeros(2)}}, path)
    assert checkpoint.network_digest(path) != network
    with pytest.raises(CheckpointError, match=r"which only deepspeech2 export writes"):
        checkpoint.check_writable(tmp_path / "model.onnx")


@pytest.mark.parametrize(("options", "nbest"), [({"beam_size": 3}, 3), ({"beam_size": 9}, 5),
                                               ({"beam_size": 9, "nbest": 7}, 7)])  # fmt: skip
def test_a_narrower_beam_has_a_shorter_list(options: dict[str, int], nbest: int) -> None:
    recipe = {"decoder": {"name": "BeamSearchDecoder", "beam_size": 10, "nbest": 5}}
    made = _decoder(recipe, Path("m.pth"), TextEncoder(), options)
    assert made.settings["nbest"] == nbest


def test_a_changed_checkpoint_stays_behind_its_link_and_private(tmp_path: Path) -> None:
    real, link = tmp_path / "real.pth", tmp_path / "link.pth"
    checkpoint.save(content()[1], real)
    real.chmod(0o600)
    link.symlink_to(real.name)
    origin = hashlib.sha256(real.read_bytes()).hexdigest()
    checkpoint.change(link, origin, lambda held: held.update(step=8))
    assert link.is_symlink()
    assert checkpoint.load(real)["step"] == 8
    assert real.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.pth", "real.pth"]


def _reserve(path: Path, ready: Event, go: Event) -> None:
    with checkpoint.reserved(path):
        ready.set()
        go.wait()


def test_two_processes_do_not_change_one_checkpoint(tmp_path: Path) -> None:
    """By whatever name they know it; a killed one keeps nobody out."""
    real, link = tmp_path / "real.pth", tmp_path / "link.pth"
    real.write_bytes(b"model")
    link.symlink_to(real)
    context = multiprocessing.get_context("spawn")
    ready, go = context.Event(), context.Event()
    process = context.Process(target=_reserve, args=(real, ready, go))
    process.start()
    assert ready.wait(100)
    with pytest.raises(ConfigError, match="another process tunes or calibrates"):
        checkpoint.reserved(link).__enter__()
    process.kill()
    process.join()
    with checkpoint.reserved(link):
        pass


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(public: Path) -> None:
    path = public / "model.pth"
    path.write_bytes(b"model")
    public.chmod(0o555)  # for a plain user, whose folder it is
    refused = pytest.raises(CheckpointError, match="to a folder of yours, and name the copy")
    with as_nobody(), refused:
        checkpoint.reserved(path).__enter__()
