"""What is kept of a network's output belongs to one network and to these recordings."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from deepspeech2 import checkpoint
from deepspeech2.errors import ConfigError
from deepspeech2.extras.tuning import Emissions, emissions, identity
from deepspeech2.settings import TunerSettings
from deepspeech2.types import Utterance


def test_another_recording_or_network_has_another_name(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    content = {"recipe": {"model": {}, "decoder": {}}, "state_dict": {"w": torch.ones(2)}}
    checkpoint.save(content, path)
    audio = tmp_path / "clean.wav"
    audio.write_bytes(b"1234")
    (tmp_path / "noisy.wav").write_bytes(b"4321")
    first = Utterance("a", audio, 1.0, "one")
    name = identity(path, (first,))
    assert identity(path, (first,)) == name
    for change in ({"audio": tmp_path / "noisy.wav"}, {"offset": 0.5}, {"text": "two"}):
        assert identity(path, (replace(first, **change),)) != name  # type: ignore[arg-type]
    assert identity(path, (first, first)) != name
    os.utime(audio, ns=(1, 1))
    assert identity(path, (first,)) != name
    changed = identity(path, (first,))
    # tuning and calibrating write into the checkpoint, and change nothing of what is heard
    checkpoint.save({**content, "recipe": {"model": {}, "decoder": {"beam": 3}}}, path)
    assert identity(path, (first,)) == changed
    checkpoint.save({**content, "state_dict": {"w": torch.zeros(2)}}, path)
    assert identity(path, (first,)) != changed


GOOD = {
    "lm_weight": [0.5],
    "word_score": [1.0],
    "prior_weight": [0.0],
    "unknown_score": [-5.0, None],
    "beam_size": [10],
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"lm_weight": [-0.5]},
            "tuner.lm_weight must be a list, each value a number .* below 100, but is",
        ),
        ({"lm_weight": ["a"]}, "tuner.lm_weight must be a list"),
        ({"lm_weight": [150]}, "below 100, but is .150."),
        ({"prior_weight": [-1]}, "tuner.prior_weight must be .* of at least 0, but is .-1"),
        ({"word_score": [None]}, "tuner.word_score must be a list, each value a number, but"),
        (
            {"unknown_score": ["none"]},
            "tuner.unknown_score must be .* a number or null, but is .'none'",
        ),
        ({"beam_size": [10.5]}, "tuner.beam_size must be a list, each value a whole number"),
        (
            {"refinements": 1.5},
            "tuner.refinements must be a whole number of at least 0, but is 1.5",
        ),
        ({"tolerance": "a"}, "tuner.tolerance must be a number of at least 0, but is 'a'"),
    ],
)
def test_values_that_cannot_be_tried_are_named(change: dict[str, object], message: str) -> None:
    TunerSettings(**GOOD)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=message):
        TunerSettings(**{**GOOD, **change})  # type: ignore[arg-type]


def test_what_others_made_or_damaged_is_computed_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    computed: list[str] = []

    def compute(*_: object) -> Emissions:
        computed.append("")
        return Emissions([torch.zeros(2, 3), torch.ones(1, 3)], ["a", "b"])

    monkeypatch.setattr("deepspeech2.extras.tuning._compute", compute)
    path = tmp_path / "kept.pt"

    def read() -> int:
        found = emissions(None, None, path, title=None)  # type: ignore[arg-type]
        assert found.references == ["a", "b"]
        assert [len(each) for each in found.log_probs] == [2, 1]
        return len(computed)

    assert read() == read() == 1
    right = path.read_bytes()
    for number, content in enumerate((b"", right[:-1], right[:32], b"x" + right[1:]), start=2):
        path.write_bytes(content)
        assert read() == read() == number
        assert f"{path} is made anew: it is damaged or not this user's" in caplog.text
        caplog.clear()
    path.unlink()
    os.mkfifo(path)
    assert read() == read() == 6
