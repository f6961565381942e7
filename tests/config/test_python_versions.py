"""Commands start on every Python that is promised, and say so where they do not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.toy import ROOT

AS_IN_3_14 = """
import argparse, runpy, sys

def check(self, action):
    if action.help and hasattr(self, "_get_formatter"):
        try:
            self._get_formatter()._expand_help(action)
        except (ValueError, TypeError, KeyError) as exc:
            raise ValueError("badly formed help string") from exc

def add(self, *names, **options):
    action = added(self, *names, **options)
    self._check_help(action)
    return action

if not hasattr(argparse._ActionsContainer, "_check_help"):
    added = argparse._ActionsContainer.add_argument
    argparse._ActionsContainer._check_help = check
    argparse._ActionsContainer.add_argument = add
program, *sys.argv = sys.argv[1], *sys.argv[1:]
runpy.run_path(program, run_name="__main__")
"""


@pytest.mark.parametrize(
    ("program", "config"), [("train.py", "demo"), ("inference.py", "inference_demo")]
)
def test_a_command_starts_where_help_texts_are_checked(program: str, config: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", AS_IN_3_14, program, f"-cn={config}", "--cfg", "job"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "run_name" in done.stdout or "save_path" in done.stdout


@pytest.mark.parametrize(("minor", "fault"), [(10, "old"), (15, "new")])
def test_a_python_that_does_not_fit_is_named_before_anything_is_made(
    tmp_path: Path, minor: int, fault: str
) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    pretending = f"import sys; sys.version_info = (3, {minor}, 0); exec(sys.argv[2])"
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{pretending}" "$@"\n', "utf-8")
    python.chmod(0o755)
    done = subprocess.run(
        ["make", f"PYTHON={python}", ".venv/bin/python"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert f"Python 3.{minor} is too {fault}" in done.stderr
    assert not (tmp_path / ".venv").exists()
    imported = subprocess.run(
        [sys.executable, "-c", pretending, "-c", "import deepspeech2"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert imported.returncode == (1 if fault == "old" else 0)
    assert imported.stderr == (
        "This Python is too old: 3.11 to 3.14 are needed\n" if fault == "old" else ""
    )
