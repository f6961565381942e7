"""Every command of the README and the documentation is run, small, in a copy of the repository.

Blocks are run by bash as they stand, one section after the other; tests/docs/programs.py makes
what takes hours small, and says what is checked in another way.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.docs import programs
from tests.docs.commands import LANGUAGES, PROGRAMS, ROOT, Section, documents, is_command, sections
from tests.interchange.rebuilt import Predecessor, lived
from tests.interchange.test_importing import predecessor_file
from tests.loopback import Resource, serve
from tests.system.conftest import ENVIRONMENT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="bash, fork and Unix sockets"),
]
SECTIONS = [section for page in documents() for section in sections(page)]
MOST = 600.0  # seconds for a block
HARMLESS = ("bash", "cat", "cp", "env", "ls", "mkdir", "mv", "sh")
"""Run as they are; a program that is neither here nor in PROGRAMS is not found."""


class Rehearsal:
    """A stage that each section finds as it was built, and a process that runs its commands."""

    def __init__(self, folder: Path, url: str) -> None:
        self.built, self.root = folder / "built", folder / "stage"
        self.built.mkdir()
        self.root.mkdir()
        # its name must be short: the path of a socket has some hundred characters
        self._short = Path(tempfile.mkdtemp(prefix="docs"))
        self._socket = self._short / "line"
        self._programs = folder / "bin"
        shim = f'#!/bin/sh\nexec "{sys.executable}" -S -E "{ROOT}/tests/docs/shim.py"'
        for name in PROGRAMS:
            path = self._programs / Path(name).name
            path.parent.mkdir(exist_ok=True)
            path.write_text(f'{shim} "{self._socket}" {path.name} "$@"\n', encoding="utf-8")
            path.chmod(0o755)
        for name, real in (*zip(HARMLESS, HARMLESS, strict=True), ("real-make", "make")):
            found = shutil.which(real)
            assert found is not None, f"{real} is not installed"
            (self._programs / name).symlink_to(found)
        self._environment = {
            **os.environ,
            **ENVIRONMENT,
            "NO_PROXY": "127.0.0.1",
            "PATH": str(self._programs),
            "PYTHONWARNINGS": "ignore",
        }
        self._environment.pop("HYDRA_FULL_ERROR", None)
        self._server = subprocess.Popen(
            [
                sys.executable,
                ROOT / "tests/docs/server.py",
                self.root,
                self._socket,
                self.built,
                url,
            ],
            env=self._environment,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._server.stdout is not None
        assert self._server.stdout.readline() == b"ready\n"
        self.reset()

    def reset(self) -> None:
        """The stage as it was built."""
        served = self.root / f"{programs.SERVED}.pid"
        if served.exists():
            with suppress(ProcessLookupError):
                os.kill(int(served.read_text()), signal.SIGTERM)
        for path in self.root.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(self.built, self.root, dirs_exist_ok=True)
        (self.root / ".venv").mkdir()
        (self.root / ".venv/bin").symlink_to(self._programs)

    def bash(self, text: str) -> None:
        """Run a block; what its first failing command said is the error."""
        try:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", text],
                cwd=self.root,
                env=self._environment,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                text=True,
                timeout=MOST,
                check=False,
            )
        except subprocess.TimeoutExpired:
            self._kill()  # it waits for the command that hangs, and could run no other
            raise
        said = f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        assert done.returncode == 0, f"status {done.returncode} of\n{text}\n{said}"

    def close(self) -> None:
        self.reset()
        self._kill()
        shutil.rmtree(self._short)

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._server.pid, signal.SIGKILL)
        self._server.communicate()


def untouched() -> dict[str, int]:
    """When the files changed that commands of the documentation would write in the repository."""
    places = ("saved", "data/lm", "data/preview", "models", "results", "configs", "docs/how-to")
    files = [path for place in places for path in (ROOT / place).rglob("*")]
    return {str(path): path.stat().st_mtime_ns for path in files if path.suffix != ".cache"}


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    before, folder = untouched(), tmp_path_factory.mktemp("docs")
    theirs = predecessor_file(folder / "theirs.pth", lived(Predecessor((4, 6, 5), 16, 2)))
    with serve() as server:
        made = Rehearsal(folder, server.put("/theirs.pth", Resource(theirs.read_bytes())))
        try:
            yield made
        finally:
            made.close()
    assert untouched() == before


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)
def test_what_can_be_typed_runs(rehearsal: Rehearsal, section: Section) -> None:
    rehearsal.reset()
    for place, (language, body) in enumerate(section.blocks):
        if language == "bash":
            rehearsal.bash(body)
        elif language == "python":
            script = rehearsal.root / f"block{place}.py"
            script.write_text(body, encoding="utf-8")
            rehearsal.bash(f"python {script.name}")
    for span in section.spans:
        rehearsal.bash(span)


def test_every_block_says_what_it_is() -> None:
    """A command in a block of no language would never be run."""
    for page in documents():
        for section in sections(page):
            for language, body in section.blocks:
                assert language.strip("{}") in LANGUAGES or not any(
                    is_command(line) for line in body.splitlines()
                ), f"{section.name}: a block with commands needs ```bash"


@pytest.mark.parametrize(
    "text",
    [
        "python train.py -cn=one_batch trainer.n_epoch=1",
        "python train.py -cn=nothing",
        "python scripts/export.py --outptu a.pth",
        "python scripts/nothing.py",
        "make nothing",
        "apt-get install curl",
        "torchrun --nproc 8 train.py -cn=deepspeech2",
        "pip install -r requirements-nothing.txt",
        "python inference.py -cn=transcribe audio=absent.wav",
        "true | python train.py -cn=nothing | true",
    ],
)
def test_what_is_wrong_fails(rehearsal: Rehearsal, text: str) -> None:
    with pytest.raises(AssertionError, match=r"status \d+ of"):
        rehearsal.bash(text)
