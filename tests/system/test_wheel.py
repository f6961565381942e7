"""The package as others install it: from its wheel, away from the repository."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import soundfile
from packaging.requirements import Requirement

from deepspeech2.commands.main import CONFIGURED, OTHERS, with_audio
from tests.toy import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def pins(*names: str) -> dict[str, str]:
    """Versions by package, of requirements files."""
    found = {}
    for name in names:
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
            package, equals, version = line.partition("#")[0].strip().partition("==")
            if equals:
                found[package.lower()] = version
    return found


def test_the_package_allows_what_the_tests_ran_with() -> None:
    pinned = pins("requirements.txt")
    needed = {(each := Requirement(line)).name.lower(): each for line in PROJECT["dependencies"]}
    assert set(pinned) - set(needed) == {"pre-commit"}  # which is for who changes the code
    assert set(needed) <= set(pinned)
    extras = PROJECT["optional-dependencies"]
    pinned |= pins("requirements-serve.txt", "requirements-onnx.txt")
    pinned |= pins(
        "requirements-subwords.txt",
        "requirements-sweep.txt",
        "requirements-trackers.txt",
        "requirements-huggingface.txt",
        "requirements-remote.txt",
    )
    for line in [*PROJECT["dependencies"], *chain.from_iterable(extras.values())]:
        requirement = Requirement(line)
        assert requirement.specifier.contains(pinned[requirement.name.lower()]), line


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's content and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index"]
    wheel = [*pip, "wheel", *offline, "--no-build-isolation", "-w", str(folder), str(ROOT)]
    subprocess.run(wheel, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    target = folder / "site"
    install = [*pip, "install", *offline, "--target", str(target), str(built)]
    subprocess.run(install, check=True, capture_output=True)
    return target


def run(site: Path, place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run(
        [sys.executable, *words], cwd=place, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_the_command_transcribes_and_scores_away_from_the_repository(
    site: Path, tmp_path: Path
) -> None:
    time = np.arange(16000) / 16000
    for name in ("a.wav", "my talk (1).wav"):
        soundfile.write(tmp_path / name, 0.1 * np.sin(600 * time), 16000)
    command = str(site / "bin/deepspeech2")
    done = run(site, tmp_path, command, "transcribe", "a.wav", "my talk (1).wav")
    assert done.returncode == 0, done.stderr
    predictions = sorted((tmp_path / "data/saved/transcribe").rglob("*.json"))
    assert len(predictions) == 2, done.stdout
    for path in predictions:
        prediction = json.loads(path.read_text(encoding="utf-8"))
        assert "error" not in prediction
        path.write_text(json.dumps({**prediction, "text": "a"}), encoding="utf-8")
    folder = predictions[0].parent
    scored = run(site, tmp_path, command, "score", "--dir_path", str(folder), "--json")
    assert json.loads(scored.stdout)["utterances"] == 2, scored.stderr
    assert not [path for path in tmp_path.iterdir() if path.name not in ("a.wav", "data")][1:]


@pytest.mark.slow
def test_a_notebook_elsewhere_imports_the_recogniser(site: Path, tmp_path: Path) -> None:
    program = (
        "import deepspeech2; from pathlib import Path\n"
        "from deepspeech2 import Recognizer\n"
        "print(Path(deepspeech2.__file__).parents[1])\n"
        "print(Recognizer.from_checkpoint('models/english.pth').text_encoder.alphabet)\n"
        "from deepspeech2.paths import install; print(install('onnx'))"
    )
    done = run(site, tmp_path, "-c", program)
    assert done.returncode == 0, done.stderr
    place, alphabet, remedy = done.stdout.splitlines()
    assert remedy == "pip install 'deepspeech2[onnx]'"
    assert Path(place) == site
    assert set("abcxyz' ") <= set(alphabet)


def test_messages_name_what_a_wheel_has() -> None:
    named = set()
    for path in sorted((ROOT / "src").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
        docstrings = {
            ast.get_docstring(n, clean=False) for n in ast.walk(tree) if isinstance(n, documented)
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
                continue
            if node.value not in docstrings and path.name not in ("page.py", "paths.py"):
                assert "scripts/" not in node.value, path
                assert "requirements-" not in node.value, path
                named |= set(re.findall(r"deepspeech2 ([a-z-]+)", node.value))
    assert {"calibrate", "doctor"} <= named <= {*CONFIGURED, *OTHERS}


def test_every_program_is_a_command_too() -> None:
    (command,) = entry_points(group="console_scripts", name="deepspeech2")
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from deepspeech2.commands.main import main\n"
         "sys.exit(main())"], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("  ")]
    listed = {row.split()[0].replace("-", "_") for row in rows}
    programs = {path.stem for path in (ROOT / "scripts").glob("*.py")}
    same = {"tune_decoder": "tune", "import_checkpoint": "import"}
    assert {same.get(name, name) for name in programs} <= listed
    assert command.value == "deepspeech2.commands.main:main"


@pytest.mark.parametrize(
    ("words", "status", "expected"),
    [
        (["nothing"], 2, "usage: deepspeech2 COMMAND"),
        (["train", "-cn=nothing"], 2, "nothing"),
        (["score", "--help"], 0, "--dir_path"),
        (["transcribe"], 2, "audio"),
        (["transcribe", "nothing.wav"], 2, "nothing.wav"),
    ],
)
def test_words_reach_the_command(
    words: list[str], status: int, expected: str, tmp_path: Path
) -> None:
    program = "import sys; from deepspeech2.commands.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, *words], cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    assert expected in done.stdout + done.stderr


def test_which_words_are_recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b.wav").touch()
    assert with_audio(["-cn", "inference_demo", "a.wav"]) == [
        "-cn", "inference_demo", "audio=a.wav"
    ]  # fmt: skip
    assert with_audio(["--cfg", "job", "-", "decoder=beam"]) == [
        "--cfg", "job", "decoder=beam", "audio=-"
    ]  # fmt: skip
    assert with_audio(["a=b.wav", "", "~decoder"]) == ["", "~decoder", "audio=a=b.wav"]
    assert with_audio(["a.wav", "my talk.wav"]) == ["audio=['a.wav','my talk.wav']"]
