"""Files that were fetched from addresses, in the user's cache: compared, fetched and resumed."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from pathlib import Path

from tqdm import tqdm

from deepspeech2.errors import DownloadError
from deepspeech2.escaping import without_secrets
from deepspeech2.files import disk_error, locked, safe_name, write_whole
from deepspeech2.http import stores, transfer
from deepspeech2.http.addresses import WEB, as_path, scheme
from deepspeech2.http.fetch import Expected, from_mirror
from deepspeech2.http.transfer import Broken, Refused, SafeSession, Watch
from deepspeech2.processes import cancelling
from deepspeech2.user_cache import user_folder

_THREADS = 8
_TRIES = 3
_TIMEOUT = 30.0  # seconds
_LEAST_SHOWN = 10_000_000  # bytes from which on a file has a progress bar of its own

_current: set[Path] = set()  # what this process has compared with its address
_log = logging.getLogger(__name__)


def root() -> Path:
    """The folder of all that is fetched."""
    return user_folder() / "fetched"


def place(address: str) -> Path:
    """Where the file of an address is kept."""
    return root() / as_path(address)


def fetch_all(wanted: Mapping[Path, str], *, compare: bool) -> dict[Path, str]:
    """Fetch the files of addresses to their places, unless they are there.

    Of several processes that fetch from the same host one does so while the others wait.

    Args:
        compare: fetch those anew that have changed. Without a network those of before are taken.

    Returns:
        Why some are not to be had.

    Raises:
        ConfigError: a package is missing.
        DownloadError: there is no network, or the disk is full. What has arrived is kept.
    """
    due = [path for path in wanted if not path.exists() or (compare and path not in _current)]
    if not due:
        return {}
    hosts = sorted({path.relative_to(root()).parts[:2] for path in due})
    faults: dict[Path, str] = {}
    try:
        with ExitStack() as stack:
            for host in hosts:
                name = safe_name("-".join(("fetched", *host)))
                stack.enter_context(locked(user_folder() / "locks" / f"{name}.lock"))
            session = stack.enter_context(SafeSession())
            bar = stack.enter_context(
                tqdm(total=len(due), desc="fetching", unit=" files", delay=1, disable=None)
            )
            pool = stack.enter_context(cancelling(ThreadPoolExecutor(_THREADS)))
            watch = Watch(_LEAST_SHOWN, threading.Event())
            stack.callback(watch.stop.set)  # or the pool would wait for large files to the end

            def work(path: Path) -> str | None:
                fetcher = _Fetcher(session, wanted[path], path, watch)
                if compare:
                    return fetcher.refresh()
                return None if path.exists() else fetcher.fetch()  # others may be faster

            running = {pool.submit(work, path): path for path in due}
            for done in as_completed(running):
                if (fault := done.result()) is not None:
                    faults[running[done]] = fault
                bar.update()
    except OSError as error:
        raise disk_error(error, root(), remedy="set XDG_CACHE_HOME to another disk") from error
    return faults


class _Fetcher:
    """Fetches one file; its methods return why it is not to be had."""

    def __init__(self, session: SafeSession, address: str, path: Path, watch: Watch) -> None:
        self._session, self._path, self._watch = session, path, watch
        self._address, self._shown = address, without_secrets(address)

    def refresh(self) -> str | None:
        """Fetch it unless the one that is here is still the one at its address."""
        path = self._path
        note = path.with_name(f".{path.name}.version")
        try:
            found = json.dumps(self._version(), sort_keys=True)
        except Refused as refusal:
            return str(refusal)
        except Broken as failure:
            if not path.exists():
                return self.fetch()  # which tries again, and reports why
            _log.warning("%s %s: the copy of before is read", self._shown, failure)
            _current.add(path)
            return None
        same = found != "{}" and note.exists() and note.read_text("utf-8") == found
        if not (same and path.exists()):
            if (fault := self.fetch()) is not None:
                return fault
            write_whole(note, found, durable=False)
        _current.add(path)
        return None

    def fetch(self) -> str | None:
        """Fetch it.

        Raises:
            DownloadError: its host does not answer.
        """
        path = self._path
        part = path.with_name(f"{path.name}.part")
        path.parent.mkdir(parents=True, exist_ok=True)
        if not part.with_name(f"{part.name}.validator").exists():
            part.unlink(missing_ok=True)  # it may be of another version
        for number in range(_TRIES):
            time.sleep(2.0 ** (number - 1) if number else 0.0)
            try:
                self._transfer(part)
            except Refused as refusal:
                return str(refusal)
            except Broken as failure:
                reason = str(failure)
            else:
                part.replace(path)
                return None
        keys = "" if self._on_the_web else " and your credentials"
        raise DownloadError(
            f"{self._shown} {reason}: check the network{keys} and start again, what has arrived is"
            " kept"
        )

    @property
    def _on_the_web(self) -> bool:
        return scheme(self._address) in WEB

    def _version(self) -> dict[str, str]:
        if self._on_the_web:
            return transfer.version(self._session, self._address, _TIMEOUT)
        return stores.version(self._address)

    def _transfer(self, part: Path) -> None:
        self._watch.check()
        if self._on_the_web:
            from_mirror(self._session, self._address, part, Expected(), _TIMEOUT, self._watch)
        else:
            stores.transfer(self._address, part, self._watch)
