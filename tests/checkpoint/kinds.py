"""A good file of each kind that is read, small, and what may be done to it."""

from __future__ import annotations

import copy
import io
import json
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from deepspeech2 import checkpoint
from deepspeech2.checkpoint import COMPONENTS
from deepspeech2.decoding import BeamSearchDecoder
from deepspeech2.errors import SpeechError
from deepspeech2.extras.interchange import convert
from deepspeech2.extras.interchange.exporting import export
from deepspeech2.model import DeepSpeech2
from deepspeech2.optim.state import load_optimizer
from deepspeech2.pipeline import Pipeline
from deepspeech2.text import TextEncoder
from deepspeech2.trainer import Checkpoints, Progress
from deepspeech2.trainer.pretrained import start_from
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
STEPS = 20
PLAN: dict[str, Any] = {"trainer.seed": 1, "number of ranks": 1}


class Resuming:
    """A training that takes up what a file says, and goes on for a step."""

    def __init__(self) -> None:
        self.learner = make_learner(ema=0.9, steps=STEPS)
        self.checkpoints = Checkpoints(Path(), self.learner, RECIPE, {"trainer": {}}, PLAN)
        self.batch = as_batch(noise(1, 1))
        self.before: Any = None

    def save(self, path: Path) -> bytes:
        self.learner.step([self.batch], 1)
        self.checkpoints.save(path, Progress(step=1, metrics={"val/loss": 1.0}), required=True)
        self.before = copy.deepcopy(self.learner.state())
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
        optimizer, schedule = self.learner.optimizer, self.learner.schedule
        named = self.before["optimizer"]  # a refused file may have left something of its own
        load_optimizer(optimizer, self.learner.pipeline, copy.deepcopy(named), path)
        schedule.load_state_dict(copy.deepcopy(self.before["lr_scheduler"]))
        progress = self.checkpoints.resume(content, path)
        if progress.step < STEPS:
            self.learner.step([self.batch], progress.step + 1)

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


def kinds(place: Path) -> dict[str, Kind]:
    """All, by their names; those with a language model have it below ``place``."""
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
        del tree["training"]
        checkpoint.save(tree, path)
        found["ONNX"] = _onnx(path)
        checkpoint.save(_streaming(tree), path)
        found["ONNX, streaming"] = _onnx(path, streaming=True)
        found |= _with_language_model(path, tree, place)
    return found


def _onnx(source: Path, *, streaming: bool = False) -> Kind:
    import onnx

    output = source.with_name(f"{streaming}.onnx")
    export(source, output, streaming=streaming)
    model = onnx.load(output)
    (entry,) = (each for each in model.metadata_props if each.key == "deepspeech2")

    def put(text: str) -> bytes:
        entry.value = text.encode("utf-8", "replace").decode()
        content: bytes = model.SerializeToString()
        return content

    of_json = change.of_json(entry.value, put)
    good = model.SerializeToString()
    return Kind(".onnx", good, (*change.BYTES, *4 * (of_json,)), load)


def _streaming(tree: dict[str, Any]) -> dict[str, Any]:
    """The same for a network that hears a recording piece by piece."""
    options = {**RECIPE["model"], "bidirectional": False, "lookahead": 2}
    del options["name"]
    network = DeepSpeech2(**options)
    weights = {f"network.{key}": value for key, value in network.state_dict().items()}
    weights |= {"front_end.normalization.mean": torch.zeros(32)}
    weights |= {"front_end.normalization.std": torch.ones(32)}
    parts = {"model": {"name": "DeepSpeech2", **options}}
    parts["normalization"] = {"name": "GlobalNormalization"}
    return {**tree, "recipe": {**RECIPE, **parts}, "state_dict": weights}


def _with_language_model(path: Path, tree: dict[str, Any], place: Path) -> dict[str, Kind]:
    """A checkpoint that names a language model, and language models that one names."""
    words = ["abc", "cab", "bad", "a"]
    grams = [f"-0.7\t{word}\t-0.2" for word in ("<s>", "</s>", "<unk>", *words)]
    pairs = [f"-0.5\t{first} {second}" for first in words for second in words]
    arpa = [f"\\data\\\nngram 1={len(grams)}\nngram 2={len(pairs)}\n\n\\1-grams:", *grams]
    arpa += ["\n\\2-grams:", *pairs, "\n\\end\\\n"]
    good = "\n".join(arpa).encode()
    for name in ("language model", "ARPA"):
        (place / name).mkdir()
    (place / "language model" / "x.arpa").write_bytes(good)
    (place / "language model" / "words.txt").write_text("abc\nbad\n")
    made = COMPONENTS["LanguageModelDecoder"](
        ENCODER, lm=str(place / "language model" / "x.arpa"), hotwords={"cab": 2.0}, beam_size=4,
        lexicon=str(place / "language model" / "words.txt"),
    )  # fmt: skip
    decoder = {"name": "LanguageModelDecoder", **made.settings}
    tree = {**tree, "recipe": {**tree["recipe"], "decoder": decoder}}
    checkpoint.save(tree, path)
    damages = (*change.ARCHIVE, *9 * (change.of_torch(tree, "recipe", "decoder"),))
    content = checkpoint.load(path)

    def named(arpa: Path) -> None:
        options = {**decoder, "lm": str(arpa), "lexicon": None, "hotwords": []}
        recognize({**content, "recipe": {**tree["recipe"], "decoder": options}}, arpa)

    return {
        "language model": Kind(".pth", path.read_bytes(), damages, load),
        "ARPA": Kind(".arpa", good, (*change.BYTES, change.lines, change.lines), named),
    }
