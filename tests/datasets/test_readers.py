"""Readers end with their stream, with their parent, and never unnoticed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch.utils.data import DataLoader

from deepspeech2.datasets.dataset import SpeechDataset
from deepspeech2.datasets.loader import SpeechLoader
from deepspeech2.datasets.readers import Readers
from deepspeech2.errors import ReaderError
from deepspeech2.types import Utterance
from tests.toy import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")


def corpus(folder: Path, number: int = 12) -> list[Utterance]:
    utterances = []
    for index in range(number):
        path = folder / f"{index}.wav"
        soundfile.write(path, np.zeros(1600), 16000)
        utterances.append(Utterance(f"u{index}", path, 0.1, str(index)))
    return utterances


@pytest.fixture
def loader(tmp_path: Path) -> SpeechLoader:
    dataset = SpeechDataset(corpus(tmp_path), str.encode)
    return SpeechLoader(dataset, max_batch_duration=0.2, num_workers=2)


def readers() -> list[int]:
    return [process.pid or 0 for process in multiprocessing.active_children()]


def ended(numbers: list[int]) -> bool:
    """Whether none of the processes runs any more; children of others are zombies at times."""
    for number in numbers:
        try:
            state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            continue
        if state != "Z":
            return False
    return True


def soon(happened: Callable[[], bool], seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_they_end_with_the_stream_whoever_still_knows_of_it(loader: SpeechLoader) -> None:
    """Tracebacks keep a stream alive, Matplotlib's among them: nothing waits for collection."""
    kept = loader.stream()
    once = loader.pass_once()
    next(kept), next(once)
    running = readers()
    assert len(running) == 4
    once.close()
    assert len(readers()) == 2
    kept.close()
    assert not readers()
    assert ended(running)
    assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL


def test_one_that_is_killed_is_named_where_a_batch_is_awaited(loader: SpeechLoader) -> None:
    """Not wherever the program is at that moment, which may be the middle of a step."""
    with closing(loader.stream()) as stream:
        next(stream)
        victim = multiprocessing.active_children()[0]
        os.kill(victim.pid or 0, signal.SIGKILL)
        victim.join(30)  # the signal of its death has come, and nothing was raised
        assert victim.exitcode == -signal.SIGKILL
        with pytest.raises(ReaderError, match=r"was killed by SIGKILL: memory is probably used up"):
            next(stream)
    assert not readers()


class Slow(SpeechDataset):
    """The second utterance takes for ever."""

    def __getitems__(self, indices):  # type: ignore[no-untyped-def]
        if 1 in indices:
            time.sleep(1000)
        return super().__getitems__(indices)


def test_one_that_does_not_come_to_an_end_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepspeech2.datasets.readers.GRACE_SECONDS", 0.2)
    train = SpeechLoader(
        Slow(corpus(tmp_path), str.encode), max_batch_duration=0.1, num_workers=2, shuffle=False
    )
    with closing(train.stream()) as stream:
        next(stream)
        running = readers()
    assert ended(running)


def test_one_that_is_left_is_forgotten(tmp_path: Path) -> None:
    """Another one that gets the same id could not start otherwise."""
    dataset = SpeechDataset(corpus(tmp_path), str.encode)
    batches: Any = [[0], [1]]
    found = Readers(DataLoader(dataset, batch_sampler=batches, collate_fn=list, num_workers=1))
    key = id(found._batches)
    found.abandon()
    with pytest.raises(ValueError, match="Cannot find worker information"):
        torch._C._remove_worker_pids(key)


def test_one_that_is_killed_while_a_batch_is_awaited(tmp_path: Path) -> None:
    train = SpeechLoader(
        Slow(corpus(tmp_path), str.encode), max_batch_duration=0.1, num_workers=1, shuffle=False
    )
    with closing(train.stream()) as stream:
        next(stream)
        (victim,) = readers()
        with (
            subprocess.Popen(["sh", "-c", f"sleep 0.3; kill -9 {victim}"]),
            pytest.raises(ReaderError, match="was killed by SIGKILL"),
        ):
            list(islice(stream, 2))


PROGRAM = """
import multiprocessing, os, signal, sys
from deepspeech2.datasets.dataset import SpeechDataset
from deepspeech2.datasets.loader import SpeechLoader

if __name__ == "__main__":
    from pathlib import Path
    from tests.datasets.test_readers import corpus
    multiprocessing.set_start_method(sys.argv[2])
    dataset = SpeechDataset(corpus(Path(sys.argv[1])), str.encode)
    loader = SpeechLoader(dataset, max_batch_duration=0.2, num_workers=2)
    stream = loader.stream()
    next(stream)
    print(*(process.pid for process in multiprocessing.active_children()), flush=True)
    exec(sys.argv[3])
"""
KILL = "os.kill(os.getpid(), signal.SIGKILL)"
HANG_UP = "os.killpg(0, signal.SIGHUP)"
LEFT_OPEN = ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "end", "status"),
    [
        ("fork", LEFT_OPEN, 0),
        ("fork", KILL, -signal.SIGKILL),
        ("fork", HANG_UP, -signal.SIGHUP),
        ("forkserver", KILL, -signal.SIGKILL),
        ("spawn", HANG_UP, -signal.SIGHUP),
    ],
)
def test_they_do_not_outlive_the_program(
    tmp_path: Path, method: str, end: str, status: int
) -> None:
    """Killed, sent a signal along with its readers, or ended with its stream open."""
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, str(file), str(tmp_path), method, end],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        assert process.stdout is not None
        running = [int(word) for word in process.stdout.readline().split()]
        assert len(running) == 2
        assert process.wait(60) == status
        assert soon(lambda: ended(running))


LIMITED = """
import resource, sys
from contextlib import closing
from itertools import islice
from pathlib import Path
from deepspeech2.datasets.dataset import SpeechDataset
from deepspeech2.datasets.loader import SpeechLoader
from deepspeech2.errors import ReaderError
from tests.datasets.test_readers import corpus

dataset = SpeechDataset(corpus(Path(sys.argv[1])), str.encode)
loader = SpeechLoader(dataset, max_batch_duration=0.2, num_workers=2)
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
kept = []
for limit in (8, 30, 32, 34, 36, 40, 44, 56, 72, 400):
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))
    try:
        with closing(loader.stream()) as stream:
            kept = [batch for _, batch in islice(stream, 12)]
        assert sum(map(len, kept)) == 24 and not any(batch.failures for batch in kept)
        print("whole")
    except ReaderError as error:
        print(error)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_limit_of_open_files_ends_in_a_sentence_and_loses_no_audio(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *refused, last = done.stdout.splitlines()
    assert last == "whole"
    assert "cannot be started" in refused[0]
    assert all("(ulimit -n" in line for line in refused if line != "whole"), refused
