"""File names of any kind come through the command line as they are."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from deepspeech2.config.command_line import VERSION, explain, run
from deepspeech2.config.components import create, group, plain
from deepspeech2.config.quoting import quoted
from deepspeech2.errors import ManifestError
from deepspeech2.paths import ROOT


def heard(word: str) -> object:
    with initialize_config_dir(str(ROOT / "configs"), **VERSION):
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


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["C"]), min_size=1))
def test_any_name_of_a_file(name: str) -> None:
    word = quoted(f"audio=/nowhere/({name}")  # a parenthesis, which Hydra cannot read
    value = OverridesParser.create().parse_override(word).value()
    assert plain(OmegaConf.create({"audio": value})) == {"audio": f"/nowhere/({name}"}


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
        "transforms.normalization._target_=deepspeech2.transforms.GlobalNormalization",
        "model=tiny",
        "+datasets.test={_target_: deepspeech2.datasets.ManifestCorpus, manifest: val.jsonl}",
    ],
)
def test_what_hydra_reads_stays(word: str) -> None:
    assert quoted(word) == word


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(st.text(st.sampled_from("a\\${}.:' "), min_size=1, max_size=12))
def test_a_path_with_what_looks_like_a_reference(name: str) -> None:
    word = quoted(f"audio=/nowhere/({name}x")
    value = OverridesParser.create().parse_override(word).value()
    node = OmegaConf.create({"audio": value, "copy": "${audio}"})
    assert plain(node) == {"audio": f"/nowhere/({name}x", "copy": f"/nowhere/({name}x"}


def test_a_reference_in_a_path_is_text_wherever_it_goes() -> None:
    word = quoted("data_dir=/data/my ${oc.env:HOME}")
    with initialize_config_dir(str(ROOT / "configs"), **VERSION):
        config = compose("deepspeech2", overrides=[word])
    part = group(config, "datasets")["train"]
    assert part["data_dir"] == "/data/my ${oc.env:HOME}"
    with pytest.raises(ManifestError, match=re.escape("/data/my ${oc.env:HOME}/x")):
        create({**part, "part": "x", "download": False}, "datasets.train")


def test_a_checkout_whose_path_looks_like_a_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "my ${oc.env:HOME} ${x}"
    shutil.copytree(ROOT / "configs", copy / "configs")
    monkeypatch.chdir(copy)
    monkeypatch.setattr("deepspeech2.config.command_line.CONFIGS", copy / "configs")
    heard = "x ${y}.wav"
    monkeypatch.setattr(
        "deepspeech2.commands.infer.infer", lambda config: 7 if config.audio == heard else 1
    )
    monkeypatch.setattr("sys.argv", ["inference.py", "audio=x ${y}.wav"])
    with pytest.raises(SystemExit) as ended:
        run("deepspeech2.commands.infer:infer", "transcribe")
    assert ended.value.code == 7


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("writer.run_name=2024_01_02", "2024_01_02"),
        ("writer.run_name=1e5", "1e5"),
        ("writer.run_name=true", "true"),
        ("writer.run_name=null", None),
        ("trainer.precision=16", "16"),
        ("trainer.precision=32", "32"),
        ("trainer.n_epochs=1_0", 10),
        ("+datasets.train.speakers=[100,1_01]", ["100", "1_01"]),
        ("decoder.hotwords=[o'neill, münchen]", ["o'neill", "münchen"]),
        ("decoder.hotwords={ada: 3}", {"ada": 3}),
        ("audio=[My talk (1).wav,b.wav]", ["My talk (1).wav", "b.wav"]),
    ],
)
def test_texts_that_look_like_numbers_and_lists_that_hydra_cannot_read(
    word: str, expected: object
) -> None:
    assert OverridesParser.create().parse_override(quoted(word)).value() == expected


@pytest.mark.parametrize("folder", ["plain", "my ${oc.env:HOME} (1), it's"])
def test_a_path_counts_from_the_current_folder_where_it_exists_there(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / folder
    here.mkdir()
    monkeypatch.chdir(here)
    for name in ("a.wav", "b.pth", "my b.pth", "3", "auto", "configs"):
        (here / name).touch()
    for word, expected in (
        ("audio=a.wav", f"{here}/a.wav"),
        ("audio='a.wav'", f"{here}/a.wav"),
        ("audio=3", f"{here}/3"),
        ("audio=[a.wav, c.wav,3]", [f"{here}/a.wav", "c.wav", f"{here}/3"]),
        ("+checkpoints={a: my b.pth, b: c.pth}", {"a": f"{here}/my b.pth", "b": "c.pth"}),
        ("+decoder.lm=configs", f"{here}/configs"),
        ("+robustness.save_path=./3", f"{here}/3"),
        ("+data_dir=..", f"{here}/.."),
        ("datasets.train.path=configs", f"{here}/configs"),
        ("datasets.train.path=owner/name", "owner/name"),
        ("audio=README.md", "README.md"),
        ("audio=-", "-"),
        ("+trainer.resume_from=auto", "auto"),
        ("+inferencer.save_path=a.wav", "a.wav"),
        ("+datasets.train.part=configs", "configs"),
        ("+datasets.train.manifest=a.wav", "a.wav"),
        ("+writer.run_name=configs", "configs"),
    ):
        parsed = OverridesParser.create().parse_override(quoted(word))
        assert plain(OmegaConf.create({"value": parsed.value()})) == {"value": expected}, word
    monkeypatch.chdir(ROOT)
    assert quoted("audio=README.md") == "audio=README.md"


@pytest.mark.parametrize("before", ["", "Error when parsing index: 0, string: x out of ['x'].\n"])
def test_a_word_that_hydra_cannot_read_is_told_alike_by_1_3_and_1_4(before: str) -> None:
    said = "Error parsing override 'x'\nmissing EQUAL at '<EOF>'"
    told = explain(OverrideParseException(override="x", message=before + said))
    assert told == "Error parsing override 'x' missing EQUAL at '<EOF>'"
