"""What a command prints and returns when something goes wrong."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deepspeech2.errors import ConfigError, named_by, run_command, sentence

ROOT = Path(__file__).resolve().parents[1]
REFUSALS = [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EISDIR, errno.ENOTDIR, errno.EEXIST]
REFUSALS += [errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.EIO, errno.ENOENT]


@pytest.mark.parametrize("number", REFUSALS)
def test_what_the_system_refuses_ends_in_one_sentence(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused() -> None:
        with named_by("--output"):
            raise OSError(number, os.strerror(number), "/some/where")

    assert run_command(refused) == 2
    (line,) = capsys.readouterr().err.splitlines()
    for part in ("error: ", "/some/where", os.strerror(number), "--output"):
        assert part in line


def test_an_error_without_a_path_or_a_number_is_a_sentence_as_well() -> None:
    assert "No space left" in sentence(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert "cannot read" in sentence(OSError("cannot read\nthis"))
    assert sentence(OSError()).count("\n") == 0


def test_other_ends_of_a_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong() -> None:
        raise ConfigError("one\n  line")

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    assert run_command(wrong) == 2
    assert capsys.readouterr().err == "error: one line\n"
    assert run_command(interrupted) == 130
    assert run_command(lambda: None) == 0
    assert run_command(lambda: 1) == 1
    with pytest.raises(ConfigError, match="one"):
        run_command(wrong, detail=True)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_disk_behind_the_output() -> None:
    """Python's end would print a traceback and change the status."""
    program = (
        "import sys; from deepspeech2.errors import run_command; sys.exit(run_command(lambda: {}))"
    )
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", program.format("print(1)")],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "No space left" in done.stderr


def test_every_program_speaks_of_errors_in_the_same_place() -> None:
    programs = [*ROOT.glob("*.py"), *(ROOT / "scripts").glob("*.py")]
    assert len(programs) > 13
    for program in programs:
        text = program.read_text(encoding="utf-8")
        assert re.search(r"\brun(_command)?\(|import main", text), program
        assert "except SpeechError" not in text, program


def test_a_program_says_whose_package_it_runs(tmp_path: Path) -> None:
    """An environment of one checkout is often used in another one."""
    (tmp_path / "src/deepspeech2").mkdir(parents=True)
    program = tmp_path / "calc_wer_cer.py"
    program.write_bytes((ROOT / program.name).read_bytes())
    warned = []
    for place in (program, ROOT / program.name):
        done = subprocess.run(
            [sys.executable, place, "--dir_path", "nothing"], capture_output=True, text=True,
            check=False, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        )  # fmt: skip
        assert done.returncode == 2
        warned.append("not the one beside it" in done.stderr)
    assert warned == [True, False]
