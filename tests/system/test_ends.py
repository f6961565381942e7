"""A training ends within seconds, whatever ends it and whenever, with the default readers.

What only looks on (a pipe, a terminal, the log's disk) ends nothing. Resumed or not, the run comes
to the same checkpoint, to the bit.

``pytest -m exhaustive tests/system/test_ends.py`` tries every end in every phase.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from deepspeech2 import checkpoint
from deepspeech2.commands.train import train
from tests.engine.test_ranks import TORCHRUN
from tests.system.ends import UNTIL, end, left_over, listener, start
from tests.toy import config, overrides, write_corpus

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="POSIX signals, /proc"),
]

PHASES = {  # the call at which it happens, of the run below
    "first epoch": ("deepspeech2.trainer.trainer:Trainer._step", 2),
    "later epoch": ("deepspeech2.trainer.trainer:Trainer._step", 7),
    "validation": ("deepspeech2.evaluation:_recognized", 1),
    "drawing": ("deepspeech2.trainer.figures:Figures.curves", 1),
    "saving": ("deepspeech2.checkpoint:save", 1),
    "final scoring": ("deepspeech2.evaluation:_recognized", 5),
}
STATUSES = {
    "error": 1,
    "reader": 2,
    **{name: 128 + getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP")},
    "terminal": 128 + signal.SIGHUP,
    "nohup SIGHUP": 0,
    "nohup terminal": 0,
    "pipe": 0,
    "log disk": 0,
}
"""By what happens: how the run ends."""
CHOSEN = {  # the others are tried with -m exhaustive
    ("first epoch", "error"),
    ("first epoch", "nohup terminal"),
    ("later epoch", "terminal"),
    ("validation", "reader"),
    ("drawing", "pipe"),
    ("saving", "SIGTERM"),
    ("final scoring", "log disk"),
}
ALL = [(phase, event) for phase in PHASES for event in STATUSES]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("toy"), {"train": 20, "val": 6, "test": 6})


def words(data: Path, folder: Path, *more: str) -> list[str]:
    test = f"_target_: deepspeech2.datasets.ManifestCorpus, data_dir: {data}, manifest: test.jsonl"
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
def uninterrupted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run to which nothing happens."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    assert train(config("an4", *words(data, folder))) == 0
    return folder / "toy"


def learnt(path: Path) -> dict[str, Any]:
    """What a checkpoint contains, but for times and names of folders."""
    content = dict(checkpoint.load(path))
    del content["config"]
    if "training" in content:
        content["training"]["progress"].pop("seconds")
    return content


def differing(one: Any, other: Any, place: str = "") -> Iterator[str]:
    """Where two checkpoints are not the same to the bit."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            yield from differing(one.get(key), other.get(key), f"{place}/{key}")
    elif isinstance(one, list | tuple) and len(one) == len(other):
        for index, pair in enumerate(zip(one, other, strict=True)):
            yield from differing(*pair, f"{place}/{index}")
    elif not (torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other):
        yield place


@pytest.mark.parametrize(
    ("phase", "event"),
    [pytest.param(*case, marks=[] if case in CHOSEN else pytest.mark.exhaustive) for case in ALL],
)
def test_a_training_ends(
    data: Path, uninterrupted: Path, tmp_path: Path, phase: str, event: str
) -> None:
    happened, run = tmp_path / "happened", tmp_path / "toy"
    place, number = PHASES[phase]
    with listener(event) as (output, process_id):
        process = start(
            *(UNTIL, place.replace(":", "."), str(number), event, "train.py", "-cn=an4"),
            *words(data, tmp_path),
            output=output,
            nohup=event.startswith("nohup"),
            HAPPENED=str(happened),
            LISTENER=process_id,
        )
        out, error = (each or "" for each in end(process))
    took = time.time() - float(happened.read_text())
    print(f"| {phase} | {event} | {process.returncode} | {took:.1f} |")
    log = (run / "info.log").read_text("utf-8")
    assert process.returncode == STATUSES[event], error + log
    assert ("Traceback" in error) == (event == "error"), error
    if event == "error":
        assert "KeyError: 'a bug'" in error
    elif event == "reader":
        assert "a process that reads audio was killed by SIGKILL" in error
    elif STATUSES[event]:
        assert "trainer.resume_from=auto goes on" in log
    elif event == "log disk":
        assert (out + error).count("info.log cannot be written") == 1
        assert "Best model" in out
    elif event != "nohup SIGHUP":
        assert log.count("standard output is gone") == 1
    if STATUSES[event]:
        if (phase, event) != ("saving", "error"):
            assert checkpoint.load(run / "checkpoint-last.pth")["step"] >= 1
        again = config("an4", *words(data, tmp_path, "trainer.resume_from=auto"))
        assert train(again) == 0
    for name in ("checkpoint-last.pth", "checkpoint-epoch2.pth", "model_best.pth"):
        assert not list(differing(learnt(run / name), learnt(uninterrupted / name)))


def test_ranks_end_when_one_of_them_is_killed(data: Path, tmp_path: Path) -> None:
    process = start(
        *(*TORCHRUN, "2", UNTIL, "deepspeech2.trainer.trainer.Trainer._step", "2", "rank"),
        *("train.py", "-cn=an4"),
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
        "import sys; from pathlib import Path\n"
        "from deepspeech2.datasets.spoken import ensure_corpus\n"
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
