"""What is behind the standard streams may go away; the work goes on."""

from __future__ import annotations

import logging
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from deepspeech2.console import enduring
from tests.toy import ROOT, metrics, overrides, write_corpus

COMMAND = """
import sys
from deepspeech2.errors import run_command

def task():
    for number in range(20000):
        print("line", number)
        print("bar", number, file=sys.stderr)
    print("odd \\udc80")
    open(sys.argv[1], "w").write("done")

sys.exit(run_command(task, prints_result=False))
"""


@pytest.mark.parametrize("redirected", [">&-", "2>&-", ">&- 2>&- <&-", ">/dev/full", "2>/dev/full",
    "| head -1", "2>&1 | head -1", ">/dev/null"])  # fmt: skip
def test_a_command_goes_on_without_its_console(tmp_path: Path, redirected: str) -> None:
    if "full" in redirected and not Path("/dev/full").exists():
        pytest.skip("the system has no /dev/full")
    program, status = tmp_path / "program.py", tmp_path / "status"
    program.write_text(COMMAND, "utf-8")
    inner = f'"{sys.executable}" "{program}" "{tmp_path}/product"; echo $? >"{status}"'
    subprocess.run(
        ["sh", "-c", f"({inner}) {redirected}"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=False,
    )  # fmt: skip
    assert (tmp_path / "product").read_text("utf-8") == "done"
    assert status.read_text("utf-8").strip() == "0"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_training_goes_on_without_console_and_log(tmp_path: Path) -> None:
    """Its pipe ends at the first letter, and its log lies on a disk that is full."""
    write_corpus(tmp_path / "data", {"train": 12, "val": 3})
    run = tmp_path / "toy"
    run.mkdir()
    (run / "info.log").symlink_to("/dev/full")
    options = overrides(tmp_path / "data", tmp_path, "trainer.n_epochs=2")
    words = [sys.executable, "train.py", "-cn=an4", *options]
    command = f"({shlex.join(words)}; echo $? >{tmp_path}/status) 2>&1 | head -c 1"
    subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, check=False, timeout=300)
    assert (tmp_path / "status").read_text("utf-8").strip() == "0"
    assert (run / "checkpoint-epoch2.pth").is_file()
    assert metrics(run)[-1]["epoch"] == 2


def test_messages_of_a_command_without_a_log_have_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = logging.Logger("of nobody")  # without handlers: the last resort writes
    monkeypatch.setattr(log, "manager", logging.Logger.manager)
    for within in (False, True, False):
        if within:
            with enduring("stderr"):
                log.warning("%s: a name \x1b[1m", "two\nlines")
        else:
            log.warning("%s: a name", "two\nlines")
    assert capsys.readouterr().err.splitlines() == [
        "two", "lines: a name",
        r"two\u000alines: a name \u001b[1m",
        "two", "lines: a name",
    ]  # fmt: skip
