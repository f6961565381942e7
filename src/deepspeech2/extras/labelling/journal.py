"""The journal of a corpus: every change of a label is one line, and none is ever removed.

A line is written with one ``write`` to the end of the file, and the disk has it before the caller
goes on, so that processes and machines that are killed lose nothing of what was answered. Each line
begins with a line feed instead of ending with one: what a killed writer left is never joined to the
next line, and is passed over because it is no JSON.

What is in effect follows from the lines in their order, without any lock: a change counts if it
was made of the newest revision of its utterance. One that was not stays in the journal as a
conflict until somebody decides. (Network file systems on which appending is not atomic, as NFS,
are for one writer at a time.)
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

from pydantic import ValidationError

from deepspeech2.errors import ManifestError
from deepspeech2.extras.labelling.labels import Change, Labels

JOURNAL = "labels.jsonl"


class Journal:
    """The journal in a corpus' folder; any number of processes and threads may use it.

    Args:
        folder: exists.

    Raises:
        OSError: by every method, if the system refuses; what was answered is in the journal.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / JOURNAL
        self._labels = Labels()
        self._offset = 0
        self._lock = threading.Lock()

    def add(self, *changes: Change) -> Labels:
        """Write changes; when it returns, the disk has them. Returns what is in effect then.

        A change that is not among :attr:`Labels.changes` afterwards is a conflict.
        """
        new = not self.path.exists()
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                for change in changes:
                    line = change.line()
                    while os.write(descriptor, line) < len(line):
                        continue  # a part is no line: all of it again, and a full disk raises
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if new:
                _sync(self.path.parent)
        except OSError as error:
            error.filename = str(self.path)  # which a full disk's error lacks
            raise
        return self.read()

    def read(self) -> Labels:
        """What is in effect; the same object with each call, which the next one brings up to date.

        Raises:
            ManifestError: a whole line is no change: the file is of another program.
        """
        with self._lock:
            try:
                with self.path.open("rb") as file:
                    if os.fstat(file.fileno()).st_size < self._offset:  # another file
                        self._labels, self._offset = Labels(), 0
                    file.seek(self._offset)
                    *lines, last = file.read().split(b"\n")
            except FileNotFoundError:
                return self._labels
            for line in lines:
                self._offset += len(line) + 1
                change = self._parsed(line)
                if change is not None:
                    self._labels.add(change)
                elif line.strip():
                    self._labels.n_damaged += 1
            change = self._parsed(last)
            if change is not None:
                self._offset += len(last)
                self._labels.add(change)
            return self._labels

    def _parsed(self, line: bytes) -> Change | None:
        """None: its writer was killed, or has not finished yet."""
        try:
            value = json.loads(line)
        except ValueError:
            return None
        try:
            return Change.model_validate(value)
        except ValidationError as error:
            raise ManifestError(
                f"{self.path} has a line that is no change of a label ({line[:60]!r}): move the"
                " file away if it is of another program"
            ) from error


def _sync(folder: Path) -> None:
    """Have the disk know that a file is new in ``folder``; Windows does so by itself."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
