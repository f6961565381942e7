"""A typed path counts from the current folder, and from the root where nothing is there."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from deepspeech2.config.quoting import quoted
from deepspeech2.paths import resolve, typed
from tests.toy import ROOT


def test_here_then_below_the_root_then_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert typed("configs") == ROOT / "configs"
    assert typed("new") == tmp_path / "new"
    assert typed(tmp_path / "x") == tmp_path / "x"
    (tmp_path / "configs").mkdir()
    assert typed("configs") == typed("./configs") == tmp_path / "configs"
    monkeypatch.chdir(tmp_path / "configs")
    assert typed("../configs").resolve() == tmp_path / "configs"


def test_a_text_too_long_for_a_name_is_none() -> None:
    word = "transforms.waveform_transforms=[" + ",".join(["{_target_: x.Y}"] * 30) + "]"
    assert quoted(word) == word
    assert resolve("x" * 1000) == ROOT / ("x" * 1000)


def run(program: str, *words: str) -> object:
    """The exit status of the script, run in the current folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", [program, *words])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(ROOT / f"scripts/{program}.py"), run_name="__main__")
    return ended.value.code


def test_one_command_reads_what_its_neighbour_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("to be or not to be\n" * 9, encoding="utf-8")
    assert run("train_lm", "text.txt", "LICENSE", "--order", "1", "--output", "lm.arpa") == 0
    assert quoted("decoder.lm=lm.arpa") == f"decoder.lm={tmp_path}/lm.arpa"
    assert run("export", "models/english.pth", "--output", "models/our.pth") == 0
    assert run("export", "models/our.pth", "--output", "models/again.pth") == 0
    assert quoted("inferencer.from_pretrained=models/again.pth").endswith(
        f"={tmp_path}/models/again.pth"
    )
