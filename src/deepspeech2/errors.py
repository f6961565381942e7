"""What can go wrong for a user. The message is one sentence with the value and the remedy.

Entry points print the message and exit with status 2; no traceback reaches a user. What the system
refuses, a full disk for one, ends in the same way.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from deepspeech2.console import enduring, open_standard_streams
from deepspeech2.escaping import without_secrets


class SpeechError(Exception):
    """Anything that a user can mend."""


class ConfigError(SpeechError):
    """A key that does not exist or a value out of range."""


class ManifestError(SpeechError):
    """A corpus, index or manifest that is missing or malformed."""


class AudioError(SpeechError):
    """A recording that cannot be read, is empty or is cut off.

    Attributes:
        seconds: how much of what was asked for can be read all the same, from its start on.
    """

    seconds = 0.0


class IncompleteError(AudioError):
    """A recording of which a part is missing; ``seconds`` of it are there."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message, seconds)
        self.seconds = seconds

    def __str__(self) -> str:
        return str(self.args[0])


class ReaderError(SpeechError):
    """A process that reads audio cannot be started, or has ended."""


class CheckpointError(SpeechError):
    """A file that is no checkpoint, is cut off, or belongs to another architecture."""


class DownloadError(SpeechError):
    """No network, a wrong checksum, a used-up quota or a full disk."""


class TrainingError(SpeechError):
    """A run that cannot go on: memory is used up, or nothing is finite any more."""


SIGNALLED = 128
"""What shells add to the number of the signal that ended a program, for its status."""
_BROKEN_PIPE = SIGNALLED + 13
_DETAIL = "HYDRA_FULL_ERROR"
_PERMISSION = "mend its permissions, or name a place that you may use"
_FULL = "free some space, or name a place on another disk"
_REMEDIES = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: "raise the limit of a file's size (ulimit -f), or name a place on another disk",
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.EROFS: "name a place that can be written to",
    errno.EISDIR: "name a file, not a folder",
    errno.ENOTDIR: "move the file away that is in the place of a folder, or name another place",
    errno.EEXIST: "move away what is there, or name another place",
    errno.ENOTEMPTY: "move away what is there, or name another place",
    errno.ENOENT: "check the path",
    errno.ENAMETOOLONG: "give it a shorter name",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "close programs that hold files open",
}


def sentence(error: Exception) -> str:
    """One sentence about an error of ours, or about what the system refused and what to do."""
    if not isinstance(error, OSError):
        return " ".join(str(error).split())
    paths = [os.fsdecode(name) for name in (error.filename, error.filename2) if name is not None]
    place = " or ".join(dict.fromkeys(map(str, paths))) or "a file"
    reason = error.strerror or " ".join(str(error).split()) or type(error).__name__
    remedy = _REMEDIES.get(error.errno or 0, "check the disk that it is on")
    options = "".join(f" ({option})" for option in getattr(error, "__notes__", ()))
    return f"{place} cannot be used ({reason}): {remedy}{options}"


@contextmanager
def named_by(option: str) -> Iterator[None]:
    """Within, what the system refuses is reported with the ``option`` that names the place."""
    try:
        yield
    except OSError as error:
        if not hasattr(error, "__notes__"):
            error.add_note(option)
        raise


def run_command(
    task: Callable[[], int | None],
    *,
    mendable: tuple[type[Exception], ...] = (),
    explain: Callable[[Exception], str] = sentence,
    detail: bool | None = None,
    prints_result: bool = True,
) -> int:
    """Run a command's ``task``, and return its exit status.

    What a user can mend is printed as one sentence, with status 2; a signal that ends the command
    is named, with status 128 and its number.

    Args:
        mendable: errors besides ours and the system's that end in a sentence.
        explain: makes the sentence.
        detail: show the traceback instead; None: if HYDRA_FULL_ERROR is 1.
        prints_result: whether the command is of no use once its output cannot be written, as
            behind ``| head``; otherwise it goes on.
    """
    open_standard_streams()
    _warn_of_another_checkout(Path(sys.argv[0]).resolve())
    with enduring("stderr") if prints_result else enduring("stdout", "stderr"):
        try:
            with _ended_by_signals():
                return _run(task, mendable, explain, detail)
        except KeyboardInterrupt as error:
            number = error.args[0] if isinstance(error, Interrupted) else signal.SIGINT
            print(f"interrupted by {signal.Signals(number).name}", file=sys.stderr)
            return SIGNALLED + number


def _warn_of_another_checkout(program: Path) -> None:
    """Say so where a repository's program runs the package that another one has installed."""
    own = Path(__file__).resolve().parent
    for folder in program.parents[:2]:  # scripts/ is one level down
        beside = folder / "src" / own.name
        if beside.is_dir() and beside.resolve() != own:
            print(
                f"warning: {program.name} runs the package in {own}, not the one beside it: run"
                f" pip install -e {folder} to use that",
                file=sys.stderr,
            )


class Interrupted(KeyboardInterrupt):
    """Carries the number of the signal that asks for the end.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Within, other signals by which people end programs do as Ctrl-C does: all is put away."""

    def end(number: int, frame: FrameType | None) -> None:
        for each in before:  # a second one must not disturb this
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(number)

    before = {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGUSR1", "SIGHUP"):
            number = getattr(signal, name, None)
            if number and signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores SIGHUP
                before[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(
    task: Callable[[], int | None],
    mendable: tuple[type[Exception], ...],
    explain: Callable[[Exception], str],
    detail: bool | None,
) -> int:
    if detail is None:
        detail = os.environ.get(_DETAIL) == "1"
    kinds: tuple[type[Exception], ...] = (SpeechError, OSError, *mendable)
    if isinstance(sys.stdout, io.TextIOWrapper):  # for names that are not UTF-8
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        status = task() or 0
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # as of `| head`
        _forget_output()
        return _BROKEN_PIPE
    except kinds as error:
        if detail:
            raise
        print(without_secrets(f"error: {explain(error)}"), file=sys.stderr)
        _forget_output()
        return 2


def _forget_output() -> None:
    """Drop what stdout cannot take, or Python's end would try once more and change the status."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
