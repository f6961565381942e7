"""A file that would run a program when it is unpickled, put wherever a model can be named."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import soundfile
import torch

from deepspeech2.extras import tuning
from tests.interchange.test_safe_unpickle import Calls
from tests.system.conftest import Run
from tests.system.test_bad_input import refused
from tests.toy import RATE, overrides, speak, write_corpus

ENDINGS = (".pth", ".safetensors", ".onnx", ".bin")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a corpus, a recording and traps; ``sprung`` appears if one is unpickled."""
    write_corpus(tmp_path / "data", {"train": 4, "val": 2})
    soundfile.write(tmp_path / "a.wav", speak("ab", 1), RATE)
    (tmp_path / "a.txt").write_text("ab", encoding="utf-8")
    trap = Calls(os.mkdir, str(tmp_path / "sprung"))
    torch.save({"format": "deepspeech2-checkpoint", "state_dict": trap}, tmp_path / "trap.pth")
    for ending in ENDINGS[1:]:
        (tmp_path / f"trap{ending}").write_bytes(pickle.dumps(trap))
    return tmp_path


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    "words",
    [
        "inference.py -cn=transcribe audio={place}/a.wav inferencer.from_pretrained={trap}",
        "scripts/calibrate.py data_dir={place} inferencer.from_pretrained={trap}",
        "scripts/tune_decoder.py decoder.lm={trap} inferencer.from_pretrained={trap}",
        "scripts/robustness.py checkpoints={{a:{trap}}} noise_dir={place} data_dir={place}",
        "scripts/suspects.py data_dir={place} suspects.from_pretrained={trap}",
        "scripts/export.py {trap} --output {place}/out.pth",
        "scripts/import_checkpoint.py {trap} --output {place}/out.pth",
        "scripts/align.py {place}/a.wav --text ab --checkpoint {trap}",
        "scripts/segment.py {place}/a.wav {place}/a.txt --output {place}/c --checkpoint {trap}",
        "scripts/serve.py --checkpoint {trap} --port 0",
        "scripts/label.py {place} --checkpoint {trap} --port 0",
        "tools/results.py record {trap} {place}/data/val --command a --evaluation b",
        "train.py -cn=an4 trainer.from_pretrained={trap}",
        "train.py -cn=an4 trainer.resume_from={trap}",
        "train.py -cn=an4 decoder=beam_lm decoder.lm={trap}",
    ],
)
def test_no_command_springs_it(quick_command: Run, place: Path, words: str, ending: str) -> None:
    trap = place / f"trap{ending}"
    program, *rest = words.format(trap=trap, place=place).split()
    if program == "train.py":
        rest = [rest[0], *overrides(place / "data", place), *rest[1:]]
    refused(quick_command(program, *rest))
    assert not (place / "sprung").exists()
    assert not (place / "out.pth").exists()


def test_what_is_downloaded_is_not_run(quick_command: Run, place: Path) -> None:
    words = ("--from-file", str(place / "trap.pth"), "--output", str(place / "out.pth"))
    result = quick_command("download_model.py", *words)
    assert "inference.py cannot use it" in result.stdout
    assert not (place / "sprung").exists()


def test_kept_emissions_are_computed_anew(place: Path) -> None:
    assert tuning._saved(place / "trap.pth") is None
    assert tuning._saved(place / "trap.onnx") is None
    assert not (place / "sprung").exists()
    torch.load(place / "trap.pth", weights_only=False)  # where that is allowed it springs
    assert (place / "sprung").exists()
