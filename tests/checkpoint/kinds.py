"""A good file of each kind that is read, small, and what may be done to it."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from src import checkpoint
from src.decoding import BeamSearchDecoder
from src.errors import SpeechError
from src.interchange import convert
from src.interchange.exporting import export
from src.pipeline import Pipeline
from src.text import TextEncoder
from src.trainer import Keeper, Progress
from src.trainer.starting import start_from
from tests.checkpoint import mutations as change
from tests.checkpoint.hostile import Kind, load, recognize, take_over
from tests.interchange.rebuilt import DeepSpeechPytorch, Predecessor, lived
from tests.interchange.test_importing import predecessor_file
from tests.trainer.small import N_TOKENS, as_batch, make_learner, noise

ENCODER = TextEncoder("abcdefghij ")
_BEAM = BeamSearchDecoder(ENCODER, hotwords=["abc"])
RECIPE: dict[str, Any] = {
    "model": {
        "name": "DeepSpeech2", "n_features": 32, "n_tokens": N_TOKENS, "conv_channels": [4, 8],
        "conv_kernels": [[11, 11], [11, 11]], "conv_strides": [[2, 2], [2, 1]], "rnn_layers": 2,
        "rnn_size": 24, "dropout": 0.0,
    },
    "features": {"name": "LogMelSpectrogram", "n_mels": 32, "sample_rate": 16000},
    "normalization": {"name": "UtteranceNormalization", "eps": 1e-5},
    "text_encoder": {"name": "TextEncoder", **ENCODER.settings},
    "decoder": {"name": "BeamSearchDecoder", **_BEAM.settings},
}  # fmt: skip
PLAN: dict[str, Any] = {"trainer.seed": 1, "number of ranks": 1}


class Resuming:
    """A training that takes up what a file says, and goes on for a step."""

    def __init__(self) -> None:
        self.learner = make_learner(ema=0.9)
        self.keeper = Keeper(self.learner, RECIPE, {"trainer": {}}, PLAN)
        self.batch = as_batch(noise(1, 1))

    def save(self, path: Path) -> bytes:
        self.learner.step([self.batch], 1)
        self.keeper.save(path, Progress(step=1, epoch=0), {"val/loss": 1.0})
        return path.read_bytes()

    def __call__(self, path: Path) -> None:
        content = checkpoint.load(path)
        reasons = []
        for way in (self._resume, self._start, recognize):
            try:
                way(content, path)
            except SpeechError as error:
                reasons.append(error)
        if reasons:
            raise reasons[0]

    def _resume(self, content: dict[str, Any], path: Path) -> None:
        self.keeper.resume(content, path)
        self.learner.step([self.batch], 2)

    def _start(self, content: dict[str, Any], path: Path) -> None:
        other = Pipeline(self.learner.pipeline.front_end, self.learner.pipeline.network)
        start_from(other, RECIPE, content, path)


def _tar() -> bytes:
    """Torch's oldest format, with a link to a file beside it and a pipe."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, kind, link in (
            ("storages", tarfile.LNKTYPE, "../victim"), ("tensors", tarfile.FIFOTYPE, ""),
            ("pickle", tarfile.SYMTYPE, "/etc/hostname"), ("../x", tarfile.REGTYPE, ""),
        ):  # fmt: skip
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname, entry.mode = kind, link, 0o777
            archive.addfile(entry)
    return file.getvalue()


def _theirs(path: Path, content: dict[str, Any], **options: Any) -> Kind:
    torch.save(content, path, **options)
    damage = change.ARCHIVE if not options else change.BYTES
    return Kind(".pth", path.read_bytes(), (*damage, change.of_torch(content)), take_over)


def _refuse(path: Path) -> None:
    """A tar archive is refused on every way."""
    for reading in (convert, load):
        try:
            reading(path)
        except SpeechError:
            continue
        raise AssertionError("it was read")


def kinds() -> dict[str, Kind]:
    """All, by their names."""
    found: dict[str, Kind] = {}
    resuming = Resuming()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.pth")
        good = resuming.save(path)
        tree = torch.load(path, weights_only=True)
        tree["state_dict"] = dict(tree["state_dict"])
        of_torch = change.of_torch(tree)
        found["ours"] = Kind(".pth", good, (*change.ARCHIVE, *3 * (of_torch,)), resuming)
        torch.manual_seed(0)
        theirs = predecessor_file(path, lived(Predecessor((2, 2, 2), 4, 2)))
        config = torch.load(theirs, weights_only=False)
        found["predecessor"] = _theirs(path, config)
        network = lived(DeepSpeechPytorch(nn.GRU, 4, 2))
        content: dict[str, Any] = {
            "state_dict": dict(network.state_dict()),
            "labels": list("_'ABCDEFGHIJKLMNOPQRSTUVWXYZ "),
            "audio_conf": {"sample_rate": 16000, "window_size": 0.02, "window_stride": 0.01},
            "hyper_parameters": {}, "epoch": 3,
        }  # fmt: skip
        found["deepspeech.pytorch"] = _theirs(path, content)
        found["older torch"] = _theirs(path, content, _use_new_zipfile_serialization=False)
        found["tar"] = Kind(".pth", _tar(), change.BYTES, _refuse)
        weights = tree["state_dict"]
        told = json.dumps(
            {key: each for key, each in tree.items() if key not in ("state_dict", "training")}
        )

        def tensors(text: str) -> bytes:
            return save(weights, {"format": "pt", "deepspeech2": text})

        of_json = change.of_json(told, tensors)
        found["safetensors"] = Kind(
            ".safetensors", tensors(told), (*change.BYTES, *4 * (of_json,)), load
        )
        found |= _onnx(Path(folder), tree)
    return found


def _onnx(folder: Path, tree: dict[str, Any]) -> dict[str, Kind]:
    import onnx

    found = {}
    source = folder / "source.pth"
    checkpoint.save({key: each for key, each in tree.items() if key != "training"}, source)
    export(source, folder / "x.onnx")
    model = onnx.load(folder / "x.onnx")
    (entry,) = (each for each in model.metadata_props if each.key == "deepspeech2")

    def put(text: str) -> bytes:
        entry.value = text.encode("utf-8", "replace").decode()
        content: bytes = model.SerializeToString()
        return content

    of_json = change.of_json(entry.value, put)
    good = model.SerializeToString()
    found["ONNX"] = Kind(".onnx", good, (*change.BYTES, *4 * (of_json,)), load)
    return found
