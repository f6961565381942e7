"""Python leaves the program's folder out of its path with -I, -P and PYTHONSAFEPATH."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.toy import ROOT

PROGRAMS = [*sorted(ROOT.glob("*.py")), *sorted(ROOT.glob("scripts/*.py"))]
START_ALL = """
import importlib.machinery, runpy, sys

class Found(BaseException): ...

class Look:
    def find_spec(self, name, path=None, target=None):
        if name == "deepspeech2":
            assert importlib.machinery.PathFinder.find_spec(name), f"{program}: no {name}"
            raise Found

before = list(sys.path)
sys.meta_path.insert(0, Look())
for program in sys.argv[1:]:
    sys.path[:] = before
    try:
        runpy.run_path(program, run_name="__main__")
        raise AssertionError(f"{program} imports nothing of deepspeech2")
    except Found:
        print(program)
"""


def test_every_program_finds_its_modules(tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-c", START_ALL, *map(str, PROGRAMS)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(PROGRAMS) >= 14


@pytest.mark.parametrize(
    ("flags", "program", "words", "status", "expected"),
    [
        (["-P"], "calc_wer_cer.py", ["--help"], 0, "--dir_path"),
        ([], "calc_wer_cer.py", ["--help"], 0, "--dir_path"),
        (["-I"], "train.py", ["-cn=nothing"], 2, "nothing"),
    ],
)
def test_a_program_starts(
    flags: list[str], program: str, words: list[str], status: int, expected: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, *flags, ROOT / program, *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONSAFEPATH": "1", "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert expected in done.stdout + done.stderr
