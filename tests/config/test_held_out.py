"""Nothing is tuned or calibrated on what the model has learnt from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deepspeech2.config.components import group
from deepspeech2.config.recognizer import refuse_training_data
from deepspeech2.errors import ConfigError
from tests.toy import config

PATH = Path("model_best.pth")


def datasets(name: str, *changes: str) -> dict[str, Any]:
    return group(config("mini_librispeech", f"datasets={name}", *changes), "datasets")


def only(node: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The part that was learnt from under another name."""
    return {"val": {**node["train"], **more}}


def refused(named: dict[str, Any], trained: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        refuse_training_data(named, {"config": {"datasets": trained}}, PATH, "tuning")
    return str(caught.value)


@pytest.mark.parametrize(
    "name", ["an4", "librispeech", "librispeech_8h", "manifest", "mini_librispeech", "spoken"]
)
def test_the_training_part_is_refused_by_name_and_by_place(name: str) -> None:
    trained = datasets(name)
    assert "datasets.train is what a model learns from" in refused(trained, {})
    for options in ({}, {"limit": 100, "max_audio_length": 9.0}):
        told = refused(only(trained, **options), trained)
        assert told.startswith("datasets.val is what model_best.pth has learnt from")
    held_out = {key: node for key, node in trained.items() if key != "train"}
    refuse_training_data(held_out, {"config": {"datasets": trained}}, PATH, "tuning")


def test_a_split_is_the_same_wherever_it_lies() -> None:
    whole, part = datasets("librispeech"), datasets("librispeech", "data_dir=/elsewhere")
    for split in ("train-clean-360", ["dev-clean", "train-clean-100"]):
        assert "has learnt from" in refused(only(part, part=split), whole)
    mine = only(part, part="my-folder")
    elsewhere = {"train": {**mine["val"], "data_dir": "x"}}
    refuse_training_data(mine, {"config": {"datasets": elsewhere}}, PATH, "tuning")


def test_other_speakers_of_one_list_are_other_data() -> None:
    trained = datasets("an4_dev")
    named = {"val": trained["val"]}
    refuse_training_data(named, {"config": {"datasets": trained}}, PATH, "tuning")


@pytest.mark.parametrize("content", [{}, {"config": {}}, {"config": {"datasets": {"train": None}}}])
def test_a_checkpoint_that_does_not_say(content: dict[str, Any]) -> None:
    refuse_training_data({"val": {"part": "dev"}, "train": None}, content, PATH, "tuning")
