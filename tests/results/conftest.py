"""Scripts as a user runs them, without the seconds that a new process takes."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from tests.toy import ROOT


class Done(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def quick_script(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    def run(program: str, *words: str) -> Done:
        monkeypatch.setattr(sys, "argv", [program, *words])
        monkeypatch.setattr(sys, "path", [*sys.path])
        capsys.readouterr()
        status = 0
        try:
            runpy.run_path(str(ROOT / program), run_name="__main__")
        except SystemExit as exit_:
            status = int(str(exit_.code or 0))
        return Done(status, *capsys.readouterr())

    return run
