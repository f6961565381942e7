"""File names of any kind come through the command line as they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from src.build.quoting import quoted
from src.paths import ROOT


def heard(word: str) -> object:
    with initialize_config_dir(str(ROOT / "configs"), version_base=None):
        return compose("transcribe", overrides=[word]).audio


NAMES = [
    "My talk (1).mp3",
    "Größe & Maß.mp3",
    "talk's end.mp3",
    "'quoted'.mp3",
    "a=b#c.mp3",
    "[x] a.mp3",
    "x{1}.mp3",
    "back\\'slash.mp3",
    "100 %.mp3",
    "日本.wav",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_taken_as_it_is_whether_it_exists_or_not(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    assert heard(quoted(f"audio={path}")) == str(path)
    path.touch()
    assert heard(quoted(f"audio={path}")) == str(path)


@pytest.mark.parametrize("name", ["a,b.mp3", "a:b.mp3", "[a]", "trailing\\"])
def test_what_exists_is_no_list(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.touch()
    assert heard(quoted(f"audio={path}")) == str(path)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(st.characters(exclude_characters="/\0$", exclude_categories=["C"]), min_size=1))
def test_any_name_of_a_file(name: str) -> None:
    word = quoted(f"audio=/nowhere/({name}")  # a parenthesis, which Hydra cannot read
    assert OverridesParser.create().parse_override(word).value() == f"/nowhere/({name}"


@pytest.mark.parametrize(
    "word",
    [
        "audio=talk.mp3",
        "audio=[a.wav,b.mp3]",
        "trainer.n_epochs=1",
        "+experiment=few_steps",
        "~datasets.test",
        "-cn=transcribe",
        "'audio=x'",
        "decoder.hotwords=[hawkeye, missus poyser]",
        "datasets.train.part=[a,b]",
        'trainer.monitor="min val_WER"',
        "transforms.normalization._target_=src.transforms.GlobalNormalization",
        "model=tiny",
        "+datasets.test={_target_: src.datasets.ManifestCorpus, manifest: val.jsonl}",
    ],
)
def test_what_hydra_reads_stays(word: str) -> None:
    assert quoted(word) == word
