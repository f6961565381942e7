"""Child processes that neither outlive their parent nor take its signals; pools that end soon."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

# Windows has the first two alone
REQUESTS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP")
    if hasattr(signal, name)
)
"""Signals by which people and schedulers end a program; they often reach its children as well."""


@contextmanager
def signals_held_back() -> Iterator[None]:
    """Within, children start with :data:`REQUESTS` blocked: a signal to all leaves them alone.

    This process gets what came in the meantime when the context ends. A child that starts
    otherwise could die of such a signal before it is able to ignore it.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    start_tracker()  # it would be started within, and unblocks signals when it is
    before = signal.pthread_sigmask(signal.SIG_BLOCK, REQUESTS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_tracker() -> None:
    """Start Python's tracker of semaphores, which inherits that :data:`REQUESTS` are ignored.

    Else the first progress bar would start it, and a signal to all processes would end it.
    """
    # in joblib's workers, whose own method the children of this program cannot import
    if multiprocessing.get_start_method() == "loky":
        multiprocessing.set_start_method("spawn", force=True)
    if multiprocessing.get_start_method() == "fork":  # which needs none
        return
    from multiprocessing import resource_tracker

    here = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, signal.SIG_IGN) for number in REQUESTS if here}
    try:
        resource_tracker.ensure_running()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def cancelling(pool: Executor) -> Iterator[Executor]:
    """Shuts ``pool`` down at the end, and cancels what it has not begun.

    By itself it would finish all of its queue, hours of it, after an error or a signal.
    """
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def serve_parent() -> None:
    """In a child: leave signals to the parent, and end as soon as the parent has ended."""
    for number in REQUESTS:
        signal.signal(number, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: BaseProcess) -> None:
    wait([parent.sentinel])
    os._exit(1)
