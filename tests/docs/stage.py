"""A folder that looks like a clone of the repository in which people have worked for a while.

Names that stand for something in the documentation (PATH, RUN, NOISE, talk.mp3 ...) are there
under just these names, so that commands run as they are written. Speech is eSpeak NG's.
"""

from __future__ import annotations

import gzip
import json
import lzma
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import numpy as np
import soundfile
import torch

from deepspeech2 import checkpoint
from deepspeech2.commands.train_lm import train_lm
from deepspeech2.datasets.spoken import MARK, render
from deepspeech2.datasets.spoken.script import VERSION, Line, script
from tests.docs.commands import ROOT
from tests.interchange.rebuilt import Predecessor, lived
from tests.interchange.test_importing import predecessor_file
from tests.results.made import result

RATE = 16000
SPLITS = (
    "train-clean-100", "train-clean-360", "train-other-500", "train-clean-5", "train-clean-8h",
    "dev-clean", "dev-clean-2", "dev-clean-70m", "test-clean", "test-clean-35m", "test-other",
)  # fmt: skip
SPOKEN = 12
"""Utterances of each split."""

REGISTRY = (
    "models: [{{name: predecessor, about: a, licence: MIT, sha256: null, size: null,"
    " output: models/pretrained/model_best.pth, sources: ['{url}']}}]"
)
CONFIG = """defaults: [an4, {override datasets: manifest}, {override model: tiny}, _self_]
data_dir: PATH
writer: {run_name: RUN}
"""


def build(stage: Path, url: str) -> None:
    """Fill an empty folder; ``url`` is where the predecessor's checkpoint lies."""
    for name in ("configs", "docs", "models", "results", "benchmarks", "scripts", "tools"):
        ignored = shutil.ignore_patterns("_build", "__pycache__", "*.cache")
        shutil.copytree(ROOT / name, stage / name, ignore=ignored)
    for pattern in ("*.py", "*.txt", "README.md", "Makefile", "pyproject.toml", "LICENSE"):
        for path in ROOT.glob(pattern):
            shutil.copy(path, stage)
    (stage / "models/registry.yaml").write_text(REGISTRY.format(url=url), encoding="utf-8")
    (stage / "configs/CONFIG.yaml").write_text(CONFIG, encoding="utf-8")
    for name in ("deepspeech2", "streaming"):  # as many layers, and narrower
        path = stage / "configs/model" / f"{name}.yaml"
        text = path.read_text(encoding="utf-8").replace("[32, 96, 96]", "[2, 3, 3]")
        path.write_text(re.sub(r"rnn_size: \d+", "rnn_size: 16", text), encoding="utf-8")
    rows = [result(hours, 0.9 / hours**0.3, test_set="test-clean") for hours in (1, 2, 4)]
    lines = "".join(json.dumps(asdict(row)) + "\n" for row in rows)
    (stage / "results/results.jsonl").write_text(lines, encoding="utf-8")
    speech(stage)
    texts(stage)
    models(stage)
    predictions(stage)


def speech(stage: Path) -> None:
    """Corpora in every layout, one recording, and noise."""
    speakers = {line.speaker for line in islice(script(), SPOKEN // 2)}
    lines = [line for line in script() if line.speaker in speakers and line.number < 2]
    waves = [render(line) for line in lines]
    librispeech = stage / "data/datasets/librispeech"
    for place, split in enumerate(SPLITS):
        for folder in (librispeech, stage / "PATH", stage / "DATA/LibriSpeech"):
            as_librispeech(folder / split, lines, waves, first=1000 * place)
    for part in ("train", "val", "test"):
        as_librispeech(stage / "data/datasets/spoken" / part, lines, waves)
        as_folder(stage / "PATH" / part, lines[:6], waves)
    as_folder(stage / "recordings", lines[:2], waves)
    mark = stage / "data/datasets/spoken" / MARK
    mark.write_text(f"{VERSION}\n", encoding="utf-8")
    soundfile.write(stage / "a.wav", waves[0], RATE)
    soundfile.write(stage / "talk.mp3", np.concatenate(waves[:2]) / 32768, RATE)
    (stage / "talk.txt").write_text(" ".join(line.text for line in lines[:2]), encoding="utf-8")
    draw = np.random.default_rng(1)
    for place in range(12):
        path = stage / f"NOISE/{('rain', 'wind')[place % 2]}/{place}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * draw.standard_normal(RATE), RATE)


def as_librispeech(
    folder: Path, lines: Sequence[Line], waves: Sequence[np.ndarray], first: int = 0
) -> None:
    """Speakers are numbered from ``first``, for no two splits have one in common."""
    for line, wave in zip(lines, waves, strict=True):
        speaker = first + line.speaker
        place, name = folder / str(speaker) / "1", f"{speaker}-1-{line.number:04d}"
        place.mkdir(parents=True, exist_ok=True)
        soundfile.write(place / f"{name}.flac", wave, RATE)
        with (place / f"{speaker}-1.trans.txt").open("a", encoding="utf-8") as file:
            file.write(f"{name} {line.text.upper()}\n")


def as_folder(folder: Path, lines: Sequence[Line], waves: Sequence[np.ndarray]) -> None:
    """Recordings with a text beside each, and a manifest of them beside the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for line, wave in zip(lines, waves, strict=False):
        soundfile.write(folder / f"{line.id}.wav", wave, RATE)
        (folder / f"{line.id}.txt").write_text(line.text, encoding="utf-8")
        name = f"{folder.name}/{line.id}.wav"
        rows.append({"audio_filepath": name, "duration": len(wave) / RATE, "text": line.text})
    manifest = "".join(json.dumps(row) + "\n" for row in rows)
    folder.with_suffix(".jsonl").write_text(manifest, encoding="utf-8")


def texts(stage: Path) -> None:
    """Plain texts, in the forms that train_lm.py reads, and the language model of the box."""
    said = "".join(line.text.upper() + "\n" for line in islice(script(), 60))
    (stage / "texts").mkdir()
    for name in ("a", "b"):
        with gzip.open(stage / f"texts/{name}.txt.gz", "wt", encoding="utf-8") as file:
            file.write(said)
    (stage / "TRANSCRIPTS.txt").write_text(said, encoding="utf-8")
    (stage / "PROSE.txt.xz").write_bytes(lzma.compress(said.encode()))
    arpa = stage / "small.arpa"
    train_lm([stage / "TRANSCRIPTS.txt"], arpa, order=2)
    (stage / "models/english.arpa.xz").write_bytes(lzma.compress(arpa.read_bytes()))


def models(stage: Path) -> None:
    """Checkpoints: of runs, of a model that streams, of another program."""
    for run in ("RUN", "clean", "demo"):
        (stage / "saved" / run).mkdir(parents=True)
        shutil.copy(ROOT / "models/english.pth", stage / "saved" / run / "model_best.pth")
    content = checkpoint.load(ROOT / "models/english.pth")
    training = {"optimizer": {"state": {}, "param_groups": []}}
    checkpoint.save({**content, "training": training}, stage / "saved/RUN/checkpoint-last.pth")
    shape = {"n_features": 16, "n_tokens": 29, "conv_channels": [4], "conv_kernels": [[5, 5]]}
    shape |= {"conv_strides": [[2, 2]], "rnn_layers": 1, "rnn_size": 16}
    shape |= {"bidirectional": False, "lookahead": 5}
    network = lived(checkpoint.COMPONENTS["DeepSpeech2"](**shape))
    weights = {f"network.{key}": value for key, value in network.state_dict().items()}
    statistics = {"mean": torch.full((16,), -6.0), "std": torch.full((16,), 2.0)}
    weights |= {f"front_end.normalization.{key}": value for key, value in statistics.items()}
    recipe = {
        **content["recipe"],
        "model": {"name": "DeepSpeech2", **shape},
        "features": {"name": "LogMelSpectrogram", "n_mels": 16},
        "normalization": {"name": "GlobalNormalization"},
        "decoder": {"name": "GreedyDecoder"},
    }
    streaming = {"arch": "DeepSpeech2", "recipe": recipe, "state_dict": weights}
    checkpoint.save(streaming, stage / "saved/STREAM/model_best.pth")
    torch.manual_seed(0)
    predecessor_file(stage / "THEIRS.pth", lived(Predecessor((4, 6, 5), 16, 2)))


def predictions(stage: Path) -> None:
    """Transcripts with their references, in the forms that calc_wer_cer.py reads."""
    pairs = [(line.text, line.text.replace("the ", "")) for line in islice(script(), 10)]
    for name in ("A", "B", "data/saved/demo/test"):
        (stage / name).mkdir(parents=True)
        for place, (text, heard) in enumerate(pairs):
            row = {"id": f"u{place}", "text": text, "speaker": f"s{place % 3}", "duration": 2.0}
            row["pred_text"] = text if name == "B" and place % 2 else heard
            (stage / name / f"u{place}.json").write_text(json.dumps(row), encoding="utf-8")
    rows = [
        {"id": f"u{n}", "text": text, "pred_text": heard} for n, (text, heard) in enumerate(pairs)
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (stage / "predictions.jsonl").write_text(lines, encoding="utf-8")
    table = "".join(f"{row['id']},{row['text']},{row['pred_text']}\n" for row in rows)
    (stage / "predictions.csv").write_text(f"id,text,pred_text\n{table}", encoding="utf-8")
    for folder, key in (("PREDICTIONS", "pred_text"), ("REFERENCES", "text")):
        (stage / folder).mkdir()
        for row in rows:
            (stage / folder / f"{row['id']}.txt").write_text(row[key], encoding="utf-8")
