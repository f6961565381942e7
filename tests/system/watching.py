"""Notes what Python code writes, moves or deletes outside of some folders.

``python tests/system/watching.py LOG FOLDER:FOLDER PROGRAM [WORD …]`` runs a program so.
"""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from deepspeech2.user_cache import user_folder

_CHANGING = {"open": 1, "os.mkdir": 1, "os.remove": 1, "os.rmdir": 1, "os.rename": 2, "os.link": 2}
_CHANGING |= dict.fromkeys(("os.chmod", "os.chown", "os.truncate", "os.utime"), 1)
_CHANGING |= {"os.symlink": 2}
"""How many of an event's arguments, from the first on, are paths that it changes."""
_DESCRIPTORS = {"os.mkdir": 2, "os.remove": 1, "os.rmdir": 1}
"""Which argument is the open folder that a relative path counts from, as in shutil.rmtree."""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_note: Callable[[str], object] | None = None
_allowed: tuple[str, ...] = ()


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if _note is None or event not in _CHANGING:
        return
    if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & _WRITING):
        return
    descriptor = arguments[_DESCRIPTORS[event]] if event in _DESCRIPTORS else -1
    start = os.getcwd() if descriptor == -1 else os.readlink(f"/proc/self/fd/{descriptor}")
    for each in arguments[: _CHANGING[event]]:
        if isinstance(each, str | bytes | os.PathLike):
            folder, name = os.path.split(os.path.join(start, os.fsdecode(each)))
            path = os.path.join(os.path.realpath(folder), name)
            there = event == "os.mkdir" and os.path.isdir(path)  # nothing will be made
            if not path.startswith(_allowed) and not there:
                _note(f"{event} {path!a}\n")


@contextmanager
def watched(folders: Sequence[str], note: Callable[[str], object]) -> Iterator[None]:
    """Within, ``note`` gets what is changed outside of ``folders`` and this user's cache."""
    global _note, _allowed
    if not _allowed:
        sys.addaudithook(_hook)  # for good
    own = (*folders, str(user_folder()), "/dev")
    _allowed = tuple(f"{os.path.realpath(folder)}{os.sep}" for folder in own)
    _note = note
    try:
        yield
    finally:
        _note = None


if __name__ == "__main__":
    _log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    _folders = sys.argv[2].split(os.pathsep)
    sys.argv[:] = sys.argv[3:]
    sys.path.insert(0, str(Path(sys.argv[0]).resolve().parent))
    with watched(_folders, lambda line: os.write(_log, line.encode("utf-8", "replace"))):
        runpy.run_path(sys.argv[0], run_name="__main__")
