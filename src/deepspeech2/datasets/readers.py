"""Processes that read batches ahead: their start, their end, and why one of them ended."""

from __future__ import annotations

import atexit
import errno
import multiprocessing
import multiprocessing.queues
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

import torch
from torch.utils.data import DataLoader

from deepspeech2.errors import ReaderError
from deepspeech2.processes import serve_parent, signals_held_back

GRACE_SECONDS = 3.0
"""For readers to finish their batch when they have to end."""

_CAUSES = {
    "SIGKILL": "memory is probably used up: free some",
    "SIGBUS": "shared memory is probably used up: enlarge /dev/shm",
}
_LIMITS = ("Too many open files", "ancdata")  # the second where a descriptor is lost on its way
_open: set[Readers] = set()


class Readers(Iterator[Any]):
    """The batches of ``loader``, which has at least one worker, until :meth:`close`.

    Raises:
        ReaderError: the processes cannot be started, or one of them has ended.
    """

    def __init__(self, loader: DataLoader[Any]) -> None:
        before = multiprocessing.active_children()
        self._processes: list[BaseProcess] = []
        self._batches: Any = None
        self._waiting = False
        self._handler: Any = None
        handles = hasattr(signal, "SIGCHLD") and (
            threading.current_thread() is threading.main_thread()
        )
        handler = signal.getsignal(signal.SIGCHLD) if handles else None
        try:
            with signals_held_back():
                self._batches = iter(loader)
        except OSError as error:
            raise ReaderError(
                f"processes that read audio cannot be started ({error.strerror}): lower"
                " dataloader.num_workers, or raise the limits of files and processes"
                " (ulimit -n, ulimit -u)"
            ) from error
        finally:
            self._processes += [p for p in multiprocessing.active_children() if p not in before]
            _open.add(self)
            if self._batches is None:
                self.close()
        if handles:
            # PyTorch's handler raises wherever the program is when a reader dies, even in the
            # middle of an optimiser's step; this one raises only where a batch is waited for.
            self._handler = handler or signal.SIG_DFL
            signal.signal(signal.SIGCHLD, self._note_child)

    def __next__(self) -> Any:
        self._waiting = True
        try:
            self._check()
            return next(self._batches)
        except StopIteration:
            raise
        except Exception as error:
            self._waiting = False
            self._explain(error)
            raise
        finally:
            self._waiting = False

    def close(self) -> None:
        """End the processes, in little more than :data:`GRACE_SECONDS`."""
        late = threading.Timer(GRACE_SECONDS, self._kill)
        late.daemon = True
        try:
            # PyTorch joins a thread that, if a reader was killed, may wait for half a message
            if self in _open and not any(process.exitcode for process in self._processes):
                late.start()
                if self._batches is not None:
                    self._batches._shutdown_workers()
        finally:
            late.cancel()
            self.abandon()

    def abandon(self) -> None:
        """End the processes at once, whatever they are doing."""
        if self._handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCHLD, self._handler)
        self._handler = None
        self._kill()
        for process in self._processes:
            process.join(GRACE_SECONDS)
        if self._batches is not None:
            self._batches._shutdown = True
            if self._batches._worker_pids_set:  # or another one of the same id could not start
                torch._C._remove_worker_pids(id(self._batches))
                self._batches._worker_pids_set = False
            self._batches = None
        _open.discard(self)

    def _kill(self) -> None:
        for process in self._processes:
            process.kill()

    def _note_child(self, number: int, frame: FrameType | None) -> None:
        if self._waiting:
            self._check()

    def _check(self) -> None:
        for process in self._processes:
            if process.exitcode:
                raise ReaderError(_explanation(process.exitcode))

    def _explain(self, error: Exception) -> None:
        """Raise ReaderError if the end of a reader or a limit of the system caused ``error``."""
        if isinstance(error, ReaderError):
            return
        if any(each in str(error) for each in _LIMITS):
            raise ReaderError(_explanation(errno.EMFILE)) from error
        for process in self._processes:
            if process.exitcode is not None:
                raise ReaderError(_explanation(process.exitcode)) from error


def start_reader(_: int) -> None:
    """Prepare a process for reading; the argument is its number."""
    serve_parent()
    # Otherwise a batch that cannot be sent is dropped, and the parent waits for it without end.
    queue: Any = multiprocessing.queues.Queue
    queue._on_queue_feeder_error = staticmethod(_give_up)


def _give_up(error: Exception, _: object) -> None:
    if any(each in str(error) for each in _LIMITS):
        os._exit(errno.EMFILE)
    traceback.print_exception(error)
    sys.stderr.flush()
    os._exit(1)


def _explanation(status: int) -> str:
    if status == errno.EMFILE:
        return (
            "too many files are open: raise the limit (ulimit -n), or lower dataloader.num_workers"
        )
    if status >= 0:
        how, cause = f"ended with status {status}", "see what it printed"
    else:
        name = signal.Signals(-status).name
        how, cause = f"was killed by {name}", _CAUSES.get(name, "start again")
    return f"a process that reads audio {how}: {cause}, or lower dataloader.num_workers"


@atexit.register
def _abandon_all() -> None:
    """At the exit, do not wait for the readers of a stream that was left open."""
    for readers in tuple(_open):
        readers.abandon()
