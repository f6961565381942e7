"""A training ends within seconds, whatever ends it and whenever, with the default readers.

``pytest -m exhaustive tests/system/test_ends.py`` tries every end in every phase.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from src import checkpoint
from tests.engine.test_ranks import TORCHRUN
from tests.system.conftest import ENVIRONMENT
from tests.toy import ROOT, overrides, write_corpus

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="POSIX signals, /proc"),
]

# Runs train.py as a user does, and lets something happen at a call of one of its functions.
PROGRAM = """
import multiprocessing, os, pkgutil, runpy, signal, sys, time

def happen(event):
    with open(os.environ["HAPPENED"], "w") as file:
        file.write(str(time.time()))
    if event == "error":
        raise KeyError("a bug")
    if event == "reader":
        for process in multiprocessing.active_children():
            os.kill(process.pid, signal.SIGKILL)
            process.join()
    elif event == "rank":
        if os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGKILL)
    elif event != "success":
        os.killpg(0, getattr(signal, event))

def at(place, number, event):
    owner, _, name = place.rpartition(".")
    owner = pkgutil.resolve_name(owner)
    function, calls = getattr(owner, name), 0
    def wrapped(*args, **options):
        nonlocal calls
        calls += 1
        if calls == number:
            happen(event)
        return function(*args, **options)
    setattr(owner, name, wrapped)

if __name__ == "__main__":
    place, number, event = sys.argv[1:4]
    at(place, int(number), event)
    sys.argv[:] = ["train.py", *sys.argv[4:]]
    runpy.run_path("train.py", run_name="__main__")
"""

PHASES = {  # the call at which it happens, of the run below
    "first epoch": ("src.trainer.trainer:Trainer._step", 2),
    "later epoch": ("src.trainer.trainer:Trainer._step", 7),
    "validation": ("src.evaluation.passing:_recognized", 1),
    "drawing": ("src.trainer.showing:Showroom.curves", 1),
    "saving": ("src.checkpoint:save", 1),
    "final scoring": ("src.evaluation.passing:_recognized", 5),
}
SIGNALS = ["SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP"]
CHOSEN = {  # the others are tried with -m exhaustive
    ("first epoch", "error"),
    ("later epoch", "SIGHUP"),
    ("validation", "reader"),
    ("drawing", "SIGINT"),
    ("saving", "SIGTERM"),
    ("final scoring", "SIGUSR1"),
}
ALL = [(phase, event) for phase in PHASES for event in ("error", "reader", *SIGNALS)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("toy"), {"train": 20, "val": 6, "test": 6})


def words(data: Path, folder: Path, *more: str) -> list[str]:
    test = f"_target_: src.datasets.ManifestCorpus, data_dir: {data}, manifest: test.jsonl"
    return overrides(
        data,
        folder,
        "transforms=small",
        "model.rnn_size=16",
        f"+datasets.test={{{test}}}",
        "dataloader.max_batch_duration=4",
        "dataloader.num_workers=null",
        "dataloader.cache=none",
        "trainer.n_epochs=2",
        *more,
    )


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("program") / "train_until.py"
    file.write_text(PROGRAM, encoding="utf-8")
    return str(file)


def hang_up_ends() -> None:
    """What starts the tests may have set nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **ENVIRONMENT, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=hang_up_ends,
    )


def left_over(session: int) -> list[str]:
    """Processes that the program has left behind."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its_session = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:  # ended meanwhile
            continue
        if int(its_session) == session and state != "Z":
            found.append(stat.parent.name)
    return found


def end(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What it printed; nothing of it is left."""
    out, error = process.communicate(timeout=400)
    deadline = time.monotonic() + 20
    while left_over(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left_over(process.pid)
    return out, error


@pytest.mark.parametrize(
    ("phase", "event"),
    [pytest.param(*case, marks=[] if case in CHOSEN else pytest.mark.exhaustive) for case in ALL],
)
def test_a_training_ends(program: str, data: Path, tmp_path: Path, phase: str, event: str) -> None:
    happened = tmp_path / "happened"
    place, number = PHASES[phase]
    process = start(
        *(program, place.replace(":", "."), str(number), event, "-cn=an4"),
        *words(data, tmp_path),
        HAPPENED=str(happened),
    )
    out, error = end(process)
    took = time.time() - float(happened.read_text())
    print(f"| {phase} | {event} | {process.returncode} | {took:.1f} |")
    assert ("Traceback" in error) == (event == "error"), error
    last = tmp_path / "toy" / "checkpoint-last.pth"
    if event == "error":
        assert process.returncode == 1
        assert "KeyError: 'a bug'" in error
    elif event == "reader":
        assert process.returncode == 2
        assert "a process that reads audio was killed by SIGKILL" in error
    else:
        assert process.returncode == 128 + getattr(signal, event)
        assert "trainer.resume_from=auto goes on" in out
    if (phase, event) != ("saving", "error"):
        assert checkpoint.load(last)["step"] >= 1


def test_ranks_end_when_one_of_them_is_killed(program: str, data: Path, tmp_path: Path) -> None:
    process = start(
        *(*TORCHRUN, "2", program, "src.trainer.trainer.Trainer._step", "2", "rank", "-cn=an4"),
        *words(data, tmp_path),
        HAPPENED=str(tmp_path / "happened"),
    )
    _, error = end(process)
    assert process.returncode == 1
    assert "the connection to another rank is lost" in error
    assert checkpoint.load(tmp_path / "toy" / "checkpoint-last.pth")["step"] == 1


@pytest.mark.parametrize(
    "method",
    [
        pytest.param("fork", marks=pytest.mark.exhaustive),
        pytest.param("forkserver", marks=pytest.mark.exhaustive),
        "spawn",  # asks for most: what readers get is pickled, the main module is imported anew
    ],
)
def test_readers_are_started_by_any_method(data: Path, tmp_path: Path, method: str) -> None:
    """By fork on Linux up to Python 3.13, then by forkserver, by spawn elsewhere."""
    site = tmp_path / "site"
    site.mkdir()
    text = f"import multiprocessing\nmultiprocessing.set_start_method({method!r}, force=True)\n"
    (site / "sitecustomize.py").write_text(text, encoding="utf-8")
    training = start(
        "train.py", "-cn=an4", *words(data, tmp_path, "trainer.n_epochs=1"), PYTHONPATH=str(site)
    )
    out, error = end(training)
    assert training.returncode == 0, error
    assert out.count("parameters on") == 1  # the main module runs once
    inference = start(
        *("inference.py", "-cn=transcribe", f"audio={data / 'test'}"),
        f"inferencer.from_pretrained={tmp_path / 'toy' / 'model_best.pth'}",
        f"inferencer.save_path={tmp_path / 'heard'}",
        PYTHONPATH=str(site),
    )
    out, error = end(inference)
    assert inference.returncode == 0, error
    assert len(list((tmp_path / "heard").rglob("test-*.json"))) == 6


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_who_speaks_the_built_in_corpus_ends_with_its_parent(
    tmp_path: Path, number: signal.Signals
) -> None:
    program = (
        "import sys; from pathlib import Path; from src.datasets.spoken import ensure_corpus\n"
        "ensure_corpus(Path(sys.argv[1]), n_workers=2)"
    )
    process = start("-c", program, str(tmp_path / "corpus"))
    deadline = time.monotonic() + 120
    while not list(tmp_path.rglob("*.flac")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(left_over(process.pid)) >= 3
    os.kill(process.pid, number) if number == signal.SIGKILL else os.killpg(process.pid, number)
    _, error = end(process)
    assert process.returncode == -number
    assert error.count("Traceback") == (number == signal.SIGINT)  # that of this program alone
