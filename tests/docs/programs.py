"""What each program of the documentation becomes when it is rehearsed.

What is not listed here fails: a command that is new in the documentation has to be able to run,
or to be added below with its reason.
"""

from __future__ import annotations

import argparse
import lzma
import os
import re
import runpy
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import requests
from packaging.requirements import Requirement

import deepspeech2.paths

# Words that make a command small. A group is named only if the command names none itself.
_TINY = {
    "train.py": (
        "writer=none",
        "trainer.n_epochs=1",
        "trainer.epoch_len=2",
        "trainer.threads=1",
        "trainer.device=cpu",
        "dataloader.num_workers=0",
        "dataloader.max_batch_duration=10",
    ),
    "inference.py": ("inferencer.threads=1", "inferencer.device=cpu", "dataloader.num_workers=0"),
    "scripts/calibrate.py": ("dataloader.num_workers=0", "inferencer.threads=1"),
    "scripts/tune_decoder.py": (
        "dataloader.num_workers=0",
        "inferencer.threads=1",
        "tuner.lm_weight=[0.3,0.6]",
        "tuner.word_score=[0.0,1.0]",
        "tuner.prior_weight=[0.0]",
        "tuner.unknown_score=[-6.0]",
        "tuner.beam_size=[10]",
        "tuner.search_beam_size=10",
        "tuner.refinements=0",
    ),
    "scripts/robustness.py": (
        "robustness.threads=1",
        "dataloader.num_workers=0",
        "robustness.snrs=[clean,5]",
    ),
    "scripts/suspects.py": ("suspects.threads=1", "dataloader.num_workers=0"),
    "scripts/preview.py": (),
    "scripts/doctor.py": (),
}
_HOURS = 1000  # an hour of the documents is a thousandth of one here
SERVED = "served-at"


def rehearsed(argv: list[str]) -> list[str] | int:
    """What to run instead of ``argv``: a script or -m and its arguments; or a status, if it ran."""
    program, words = Path(argv[0]).name, argv[1:]
    if program in ("python", "python3"):
        return _python(words)
    return INSTEAD[program][0](words)


def _python(words: list[str]) -> list[str] | int:
    if words[:2] == ["-m", "venv"]:  # pip of a new environment would have to download everything
        folder = Path(words[2])
        (folder / "bin").mkdir(parents=True, exist_ok=True)
        (folder / "bin/activate").write_text("", encoding="utf-8")
        return 0
    if words[0] == "-m":
        return words
    script = words[0]
    if script == "scripts/serve.py" or (script == "scripts/label.py" and "--export" not in words):
        return _served(words)
    if script not in _TINY:
        return [script, *words]
    # joblib starts processes outside of the stage; tests/system/test_sweep.py runs them
    words = [word for word in words if not word.startswith(("hydra/launcher=", "hydra.launcher."))]
    given = {word.lstrip("+~").partition("=")[0] for word in words}
    small = [
        word
        for word in _TINY[script]
        if "." in word.partition("=")[0] or word.partition("=")[0] not in given
    ]
    for word in words:
        if match := re.fullmatch(r"(datasets\.\w+\.hours)=([\d.]+)", word):
            small.append(f"{match[1]}={float(match[2]) / _HOURS}")
        if word.startswith("budget="):  # tests/trainer/test_budget.py spends one
            small.append("budget=null")
    return [script, *words, *small]


def _served(words: list[str]) -> int:
    """Start the server on any port and leave it running; the stage ends it."""
    said, told = (deepspeech2.paths.ROOT / f"{SERVED}{ending}" for ending in ("", ".errors"))
    child = os.fork()
    if not child:
        for number, path in ((1, said), (2, told)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
        os.closerange(3, 256)  # whoever waits for the command must not wait for the server
        sys.argv = [*words, "--port", "0", "--threads", "1"]
        runpy.run_path(words[0], run_name="__main__")
    (deepspeech2.paths.ROOT / f"{SERVED}.pid").write_text(str(child), encoding="utf-8")
    while not (said.exists() and said.read_text(encoding="utf-8").endswith("\n")):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            print(told.read_text(encoding="utf-8"), file=sys.stderr)
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    return 0


def _curl(words: list[str]) -> int:
    """A file, in a form or as the body, posted to the served page."""
    parser = argparse.ArgumentParser(prog="curl")
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("-F", dest="form")
    given.add_argument("--data-binary", dest="body")
    parser.add_argument("url")
    options = parser.parse_args(words)
    served = (deepspeech2.paths.ROOT / SERVED).read_text(encoding="utf-8").strip()
    name, _, path = (options.form or options.body).partition("@")
    url = options.url.replace("http://127.0.0.1:8000", served)
    with Path(path).open("rb") as file:
        if options.form:
            answer = requests.post(url, files={name.rstrip("="): file}, timeout=60)
        else:  # of this type whatever it is, as curl has it
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = requests.post(url, data=file, headers=kind, timeout=60)
    print(answer.text)
    return 0 if answer.ok else 22


NOT_INSTALLED = (
    "requirements-lm.txt", "requirements-trackers.txt", "requirements-huggingface.txt",
    "requirements-remote.txt",
)  # fmt: skip
"""What ask for more than the tests run with: a compiler, clients of services."""


def _pip(words: list[str]) -> int:
    """Nothing is fetched: is what a file asks for the version that the tests run with?"""
    parser = argparse.ArgumentParser(prog="pip")
    parser.add_argument("command", choices=["install", "download"])
    parser.add_argument("-r", dest="file", type=Path)
    parser.add_argument("-d", "--find-links", dest="folder")
    parser.add_argument("--no-index", action="store_true")
    parser.add_argument("packages", nargs="*", type=Requirement)
    options = parser.parse_args(words)
    assert options.file or options.packages, words
    for requirement in _requirements(options.file) if options.file else ():
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            assert options.file.name in NOT_INSTALLED, f"{requirement} is not installed"
            continue
        assert requirement.specifier.contains(version), f"{requirement}, but {version} is here"
    return 0


def _requirements(path: Path) -> list[Requirement]:
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        line = line.partition("#")[0].strip()
        if line.startswith("-r "):
            found += _requirements(path.parent / line[3:])
        elif line:
            found.append(Requirement("deepspeech2" if line == "-e ." else line))
    return found


def _make(words: list[str]) -> int:
    """The targets are there, and what they would do can be said."""
    return subprocess.run(["real-make", "--dry-run", *words]).returncode


def _xz(words: list[str]) -> int:
    """xz itself, which not every machine has."""
    parser = argparse.ArgumentParser(prog="xz")
    parser.add_argument("-9", action="store_true", dest="best")
    parser.add_argument("file", type=Path)
    file = parser.parse_args(words).file
    with file.with_name(f"{file.name}.xz").open("xb") as packed:
        packed.write(lzma.compress(file.read_bytes()))
    file.unlink()
    return 0


def _torchrun(words: list[str]) -> list[str]:
    """One process instead of eight, under torchrun's own reading of its options."""
    from torch.distributed.run import get_args_parser

    options = get_args_parser().parse_args(words)
    assert int(options.nproc_per_node) > 1
    return _python([options.training_script, *options.training_script_args])  # type: ignore[return-value]


def _sbatch(words: list[str]) -> list[str]:
    """tests/system/test_slurm.py runs the script; here what it would train is trained."""
    subprocess.run(["bash", "-n", words[0]], check=True)
    more = "trainer.resume_from=auto"  # as that script adds
    assert more in Path(words[0]).read_text(encoding="utf-8")
    return _python(["train.py", *words[1:], more])  # type: ignore[return-value]


INSTEAD: dict[str, tuple[Callable[[list[str]], list[str] | int], str]] = {
    "pip": (_pip, "would download; what is asked for is compared with what is installed"),
    "make": (_make, "would install and run for minutes; make --dry-run says what it would do"),
    "torchrun": (_torchrun, "needs GPUs; its options are read by itself, and one process trains"),
    "sbatch": (_sbatch, "needs SLURM; test_slurm.py runs the script, here its training is run"),
    "curl": (_curl, "not on every machine; the same form is posted to the server of the block"),
    "xz": (_xz, "not on every machine; Python packs the same"),
}
"""Programs that are not run as they stand: what is done instead, and why."""
