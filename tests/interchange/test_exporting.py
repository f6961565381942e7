"""Exported models recognise the same, in files that hold nothing else and tell nothing else."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from deepspeech2 import checkpoint
from deepspeech2.errors import CheckpointError, ManifestError
from deepspeech2.extras.interchange.exporting import card, export, recorded
from deepspeech2.http.fetch import checksum
from deepspeech2.text import TextEncoder
from deepspeech2.types import Padded
from tests.toy import ROOT

SHAPE: dict[str, Any] = {
    "n_features": 16,
    "n_tokens": 29,
    "conv_channels": [3],
    "conv_kernels": [[5, 5]],
    "conv_strides": [[2, 2]],
    "rnn_layers": 1,
    "rnn_size": 8,
}


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A checkpoint as training writes it, to resume from."""
    torch.manual_seed(1)
    network = checkpoint.COMPONENTS["DeepSpeech2"](**SHAPE)
    content = {
        "arch": "DeepSpeech2",
        "recipe": {
            "model": {"name": "DeepSpeech2", **SHAPE},
            "features": {"name": "LogMelSpectrogram", "n_mels": 16},
            "normalization": {"name": "UtteranceNormalization"},
            "text_encoder": {"name": "TextEncoder", **TextEncoder().settings},
            "decoder": {"name": "BeamSearchDecoder", "beam_size": 7},
        },
        "state_dict": {f"network.{key}": value for key, value in network.state_dict().items()},
        "weights": "plain",
        "epoch": 3,
        "step": 99,
        "metrics": {"val/loss": 1.5},
        "calibration": {"Argmax": {"temperature": 0.8, "bias": -2.0, "decoder": {}}},
        "config": {"data_dir": "/home/ann/speech", "trainer": {"seed": 1, "lr": 1e-9}},
        "training": {"optimizer": {"state": {0: torch.zeros(9)}}},
    }
    checkpoint.save(content, tmp_path / "whole.pth")
    return tmp_path / "whole.pth"


def emissions(path: Path) -> torch.Tensor:
    restored = checkpoint.restore(checkpoint.load(path), path)
    samples = torch.randn(2, 8000, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        return restored.pipeline.emissions(Padded(samples, torch.tensor([8000, 6000]))).data


@pytest.mark.parametrize("name", ["model.pth", "model.safetensors"])
def test_the_same_to_the_bit(whole: Path, tmp_path: Path, name: str) -> None:
    export(whole, tmp_path / name)
    assert torch.equal(emissions(tmp_path / name), emissions(whole))
    content, before = checkpoint.load(tmp_path / name), checkpoint.load(whole)
    assert "training" not in content
    assert content["config"] == {"data_dir": "speech", "trainer": {"seed": 1, "lr": 1e-9}}
    assert b"/home/ann" not in (tmp_path / name).read_bytes()
    for key in ("recipe", "calibration", "epoch", "metrics"):
        assert content[key] == before[key]
    assert content["exported_from"] == checksum(whole)
    export(tmp_path / name, tmp_path / f"again-{name}")
    assert checkpoint.load(tmp_path / f"again-{name}")["exported_from"] == checksum(whole)


def test_files_are_called_as_on_another_machine(
    whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = checkpoint.load(whole)
    files = {"lm": "/home/ann/own.arpa", "lexicon": str(ROOT / "data/words.txt")}
    content["recipe"]["decoder"] = {"name": "LanguageModelDecoder", **files}
    content["calibration"]["BeamSearchLM"] = {"temperature": 1.0, "bias": 0.0, "decoder": files}
    checkpoint.save(content, whole)
    export(whole, tmp_path / "model.pth")
    kept = checkpoint.load(tmp_path / "model.pth")
    called = {"lm": "own.arpa", "lexicon": "data/words.txt"}
    assert kept["recipe"]["decoder"] == {"name": "LanguageModelDecoder", **called}
    assert kept["calibration"]["BeamSearchLM"]["decoder"] == called
    assert b"/home/ann" not in (tmp_path / "model.pth").read_bytes()
    (warning,) = caplog.messages
    assert warning.startswith("/home/ann/own.arpa is outside of this repository")
    assert "give decoder.lm=PATH" in warning


def test_another_program_reads_the_tensors(whole: Path, tmp_path: Path) -> None:
    export(whole, tmp_path / "model.safetensors")
    tensors = load_file(tmp_path / "model.safetensors")
    expected = checkpoint.load(whole)["state_dict"]
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[key], expected[key]) for key in tensors)
    checkpoint.save({**checkpoint.load(tmp_path / "model.safetensors")}, tmp_path / "b.safetensors")
    assert torch.equal(emissions(tmp_path / "b.safetensors"), emissions(whole))


def header(path: Path, change: Any) -> None:
    """Rewrite the JSON in front of the tensors."""
    body = path.read_bytes()
    (length,) = struct.unpack("<Q", body[:8])
    found = json.loads(body[8 : 8 + length])
    change(found)
    words = json.dumps(found).encode()
    path.write_bytes(struct.pack("<Q", len(words)) + words + body[8 + length :])


def test_broken_files_say_so(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    export(whole, path)
    good = path.read_bytes()
    for content in (b"", good[:100], good[:-50], b"x" * 300):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"model\.safetensors is cut off"):
            checkpoint.load(path)
    for change, said in (
        (lambda found: found.pop("__metadata__"), "tensors alone"),
        (lambda found: found["__metadata__"].update(deepspeech2="{"), "no JSON"),
        (lambda found: found["__metadata__"].update(deepspeech2="[]"), "no mapping"),
        (lambda found: found["__metadata__"].update(deepspeech2="{}"), "not a checkpoint of"),
    ):
        path.write_bytes(good)
        header(path, change)
        with pytest.raises(CheckpointError, match=said):
            checkpoint.load(path)


def test_what_is_there_is_kept(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"must end in \.pth, \.safetensors, \.onnx"):
        export(whole, tmp_path / "model.bin")
    with pytest.raises(CheckpointError, match="is there already"):
        export(whole, whole)
    with pytest.raises(CheckpointError, match="contains the state of a training"):
        checkpoint.save(checkpoint.load(whole), tmp_path / "x.safetensors")
    assert not (tmp_path / "x.safetensors").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["whole.pth"]


def line(**changes: Any) -> dict[str, Any]:
    """What a card needs of a line of results.jsonl."""
    counts = {"substitutions": 1556, "deletions": 213, "insertions": 221, "reference": 5522}
    rate = {"value": 0.36, "low": 0.33, "high": 0.384, **counts}
    training = {"corpus": "librispeech/train-clean-8h", "hours": 7.65, "epochs": 26}
    training |= {"weights": "plain", "seed": 1, "took_hours": 5.94}
    return {
        "checkpoint_sha256": "a" * 64,
        "training": {**training, "machine": {"processor": "AMD EPYC", "cpus": 2, "gpu": None}},
        "command": "python train.py -cn=librispeech_8h",
        "transcripts_sha256": "d" * 64,
        "date": "2026-11-25",
        "decoder": "Argmax",
        "decoder_options": {},
        "language_model": None,
        "test_set": "test-clean-35m",
        "utterances": 2400,
        "wer": rate,
        "cer": {**rate, "value": 0.179},
        "evaluation": "python inference.py | cat",
        **changes,
    }


def test_a_card_has_the_last_result_of_each_decoder(whole: Path, tmp_path: Path) -> None:
    beam = {"decoder": "BeamSearchLM", "language_model": {"name": "own.arpa", "size_bytes": 9}}
    lines = [
        line(wer={**line()["wer"], "value": 0.9}),
        line(checkpoint_sha256="b" * 64, test_set="dev-clean"),
        line(**beam, decoder_options={"beam_size": 50}),
        line(**beam, decoder_options={"beam_size": 300}),
        line(),
        line(checkpoint_sha256="c" * 64, test_set="another"),
    ]
    path = tmp_path / "results.jsonl"
    path.write_text("\n".join(["", *map(json.dumps, lines), ""]), encoding="utf-8")
    results = recorded(path, ("a" * 64, "b" * 64))
    text = card(checkpoint.load(whole), results, name="m.pth", licence="mit", data="")
    rates = "36.00 (33.00 to 38.40) | 17.90 (33.00 to 38.40)"
    command = "`python train.py -cn=librispeech_8h`"
    tables = [row for row in text.splitlines() if row.startswith("| ")]
    assert tables[2:6] == [
        f"| test-clean-35m (2,400 utterances) | {rates} | greedy | {command} |",
        f"| dev-clean (2,400 utterances) | {rates} | greedy | {command} |",
        *(
            f"| test-clean-35m (2,400 utterances) | {rates} | beam {beam_size}, language model"
            f" own.arpa | {command} |"
            for beam_size in (50, 300)
        ),
    ]
    origin = (
        "`python inference.py \\| cat` | 1,556, 213, 221, 5,522 | 26, plain, 1 | 5.94 h, AMD EPYC |"
        f" `{'a' * 16}`, `{'d' * 16}` | 2026-11-25 |"
    )
    assert tables[8] == f"| test-clean-35m | greedy | {origin}"
    assert len(tables) == 12
    assert "\n7.65 h of librispeech/train-clean-8h, 26 epochs\n" in text
    assert "0.0 M parameters: 1 convolutions, 1 gru layers of 8, both directions;" in text
    given = card(checkpoint.load(whole), [], name="m.pth", licence="mit", data="Ten talks.")
    assert "## Trained on\n\nTen talks.\n" in given
    assert "No result of this checkpoint has been recorded." in given


@pytest.mark.parametrize("wrong", [b"{", b"[]", b"\xff", b"1", json.dumps(line(wer=3)).encode()])
def test_a_line_that_is_no_result_is_named(tmp_path: Path, wrong: bytes) -> None:
    path = tmp_path / "results.jsonl"
    path.write_bytes(json.dumps(line()).encode() + b"\n" + wrong + b"\n")
    with pytest.raises(ManifestError, match=r"results\.jsonl, line 2 is no result"):
        recorded(path, ("a" * 64,))
    assert recorded(tmp_path / "none.jsonl", ("a" * 64,)) == []
