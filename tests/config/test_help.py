"""``--help`` begins with the program and lists what exists; completion offers the choices."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deepspeech2.config.help import program_help
from deepspeech2.paths import CONFIGS, ROOT

SCRIPTS = ("calibrate", "doctor", "preview", "robustness", "suspects", "tune_decoder")
PROGRAMS = ["train.py", "inference.py", *(f"scripts/{name}.py" for name in SCRIPTS)]


def listed(text: str) -> list[str]:
    part = text.partition("Configs (")[2].partition("Groups")[0]
    return re.findall(r"^  (\w+) ", part, re.MULTILINE)


def test_each_config_is_listed_once_among_those_of_its_program() -> None:
    found = [
        name
        for root in ("deepspeech2", "inference", "robustness", "suspects")
        for name in listed(program_help("", "", root))
    ]
    expected = {path.stem for path in CONFIGS.glob("*.yaml")} - {"settings"}
    assert set(found) == expected
    assert "demo" in listed(program_help("", "", "deepspeech2"))
    assert "demo" not in listed(program_help("", "", "transcribe"))
    assert "transcribe" in listed(program_help("", "", "transcribe"))


def test_each_group_is_listed_with_its_names() -> None:
    text = " ".join(program_help("", "", "deepspeech2").split())
    for folder in filter(Path.is_dir, CONFIGS.iterdir()):
        names = sorted(path.stem for path in folder.glob("*.yaml"))
        assert f" {folder.name}: {', '.join(names)}" in text


def test_the_commands_of_the_help_are_those_of_files_that_exist() -> None:
    text = program_help("", "", "deepspeech2")
    commands = re.findall(r"^  python (\S+) -cn=(\w+)", text, re.MULTILINE)
    assert len(commands) == 3
    for program, config in commands:
        assert (ROOT / program).is_file()
        assert (CONFIGS / f"{config}.yaml").is_file()
    for page in re.findall(r"docs/\w+\.md", text):
        assert (ROOT / page).is_file()


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_begins_with_the_program(program: str, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise SystemExit('torch is imported')")
    done = subprocess.run(
        [sys.executable, program, "--help"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT / 'src'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert lines[0].startswith("DeepSpeech2:")
    assert f"python {program}" in lines[1]
    assert lines[3].startswith(f"usage: python {program} ")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="completion of Bash")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("model=", "model=tiny"),
        ("model=str", "model=streaming"),
        ("trainer.n_", "trainer.n_epochs="),
    ],
)
def test_bash_completes(typed: str, offered: str) -> None:
    line = f"python train.py {typed}"
    script = (
        'eval "$(python train.py -sc install=bash)"\n'
        f'COMP_LINE="{line}" COMP_POINT={len(line)} COMP_CWORD=2\n'
        'hydra_bash_completion; echo "${COMPREPLY[@]}"'
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert any(each.startswith(offered) for each in done.stdout.split())
