"""Files behind addresses, as ``https://`` and ``s3://``: fetched once, read from this disk.

Lists, shards and recordings are kept in the user's cache, in folders named as the address is. So
whatever reads a file reads these as well, in any process. Only who opens a corpus or a recording
by name fetches anything, never who reads it: a server does not.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path, PurePath

from tqdm import tqdm

from deepspeech2.errors import ConfigError, DownloadError
from deepspeech2.escaping import without_secrets
from deepspeech2.files import disk_error, locked, safe_name, write_whole
from deepspeech2.http import addresses, stores, transfer
from deepspeech2.http.addresses import SCHEMES, WEB, is_address, joined, numbered, scheme
from deepspeech2.http.fetch import Expected, from_mirror
from deepspeech2.http.transfer import Broken, Refused, SafeSession
from deepspeech2.paths import resolve
from deepspeech2.processes import cancelling
from deepspeech2.user_cache import user_folder

_THREADS = 8
_TRIES = 3
_TIMEOUT = 30.0  # seconds
_LEAST_SHOWN = 10_000_000  # bytes from which on a file has a progress bar of its own

_addresses: dict[Path, str] = {}  # of the files that may be fetched
_folders: dict[Path, str] = {}  # the addresses that relative paths of fetched lists count from
_current: set[Path] = set()  # what was compared with its address by this process
_log = logging.getLogger(__name__)


def on_disk(path: str | Path) -> Path:
    """As :func:`~deepspeech2.paths.resolve`, for a reader of folders.

    Raises:
        ConfigError: it is an address.
    """
    if is_address(path):
        raise ConfigError(
            f"{without_secrets(str(path))} is an address, but this reader needs a folder on this"
            " disk: copy it here, or list its recordings in a manifest"
        )
    return resolve(path)


def open_list(name: str | Path, data_dir: str | Path | None = None) -> Path:
    """The file of a list, fetched where its name or ``data_dir`` is an address.

    Raises:
        ConfigError, DownloadError: as :func:`copies`.
    """
    address = joined(name, data_dir)
    if address is None:
        return resolve(name) if data_dir is None else resolve(data_dir) / name
    (path,) = copies([address])
    _folders[path.parent] = addresses.folder(address)
    return path


def beside(folder: Path, name: str | Path) -> Path:
    """The file ``name`` of another list, which counts from ``folder``.

    Raises:
        ConfigError, DownloadError: as :func:`copies`.
    """
    if is_address(name) or folder not in _folders:
        return open_list(name, folder)
    return copies([addresses.relative(_folders[folder], str(name))])[0]


def below(folder: Path, name: str | Path) -> Path:
    """The folder ``name``, which counts from ``folder``, of a fetched list perhaps."""
    if is_address(name):
        address = str(name)
    elif folder in _folders and not Path(name).is_absolute():
        address = addresses.relative(_folders[folder], str(name))
    else:
        return folder / name
    place = _place(address.rstrip("/"))
    _folders[place] = address.rstrip("/")
    return place


def recording(audio: str, folder: Path) -> PurePath:
    """The path of a recording that a list in ``folder`` names, by an address perhaps.

    It is relative to ``folder`` if it is below it. Nothing is fetched yet.

    Raises:
        ValueError: it cannot be where the list names it.
    """
    base = _folders.get(folder)
    if not is_address(audio):
        if base is None:
            return PurePath(audio)
        address = addresses.relative(base, audio)
    elif scheme(audio) not in (SCHEMES if base is None else (*WEB, scheme(base))):
        raise ValueError(f"recordings are not fetched from {scheme(audio)}://")
    else:
        address = audio
    place = _place(address)
    _addresses[place] = address
    return place.relative_to(folder) if place.is_relative_to(folder) else place


def place_free(path: PurePath) -> PurePath:
    """``path``, of what is fetched below the cache: the same on every machine."""
    return path.relative_to(_root()) if _addresses and path in _addresses else path


def fetch_recordings(paths: Iterable[Path]) -> dict[Path, str]:
    """Fetch those of ``paths`` that :func:`recording` named and that are not here yet.

    Returns:
        Why some are not to be had.

    Raises:
        ConfigError: a package is missing.
        DownloadError: there is no network, or the disk is full. What has arrived is kept.
    """
    if not _addresses:
        return {}
    return _fetch_all([each for each in dict.fromkeys(paths) if each in _addresses], compare=False)


def copies(wanted: Sequence[str]) -> list[Path]:
    """The files at addresses, fetched anew where they have changed since they were fetched.

    Without a network those of before are taken.

    Raises:
        ConfigError: an address is of a kind that is not fetched, or a package is missing.
        DownloadError: one cannot be fetched.
    """
    places = []
    for address in wanted:
        if scheme(address) not in SCHEMES or "::" in address:
            raise ConfigError(
                f"{without_secrets(address)} cannot be fetched: give a path, or an address of"
                f" {', '.join(SCHEMES[:6])} ..."
            )
        place = _place(address)
        _addresses[place] = address
        places.append(place)
    for path, reason in _fetch_all(list(dict.fromkeys(places)), compare=True).items():
        raise DownloadError(f"{without_secrets(_addresses[path])} {reason}: {_REMEDY}")
    return places


_REMEDY = "check the address, and that you may read what is there"


def expanded(pattern: str) -> list[str]:
    """The addresses that ``pattern`` names by numbers, as ``{000..127}``, or by ``*``.

    Raises:
        ConfigError: they cannot be listed.
        DownloadError: the store does not answer, or has none.
    """
    names = numbered(pattern)
    if "*" not in pattern:
        return names
    if scheme(pattern) in WEB:
        raise ConfigError(
            f"{without_secrets(pattern)} cannot be listed over {scheme(pattern)}: name the files,"
            " as train-{000..127}.tar"
        )
    try:
        found = [each for name in names for each in stores.matching(name)]
    except (Broken, Refused) as error:
        raise DownloadError(f"{without_secrets(pattern)} {error}: {_REMEDY}") from error
    if not found:
        raise DownloadError(f"{without_secrets(pattern)} matches no file: {_REMEDY}")
    return found


def _root() -> Path:
    return user_folder() / "fetched"


def _place(address: str) -> Path:
    return _root() / addresses.as_path(address)


def _fetch_all(paths: Sequence[Path], *, compare: bool) -> dict[Path, str]:
    """Fetch ``paths``, once no other process fetches from the same hosts."""
    due = [path for path in paths if not path.exists() or (compare and path not in _current)]
    if not due:
        return {}
    hosts = sorted({path.relative_to(_root()).parts[:2] for path in due})
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

            def work(path: Path) -> str | None:
                if compare:
                    return _refresh(session, path)
                return None if path.exists() else _fetch(session, path)  # others may be faster

            for path, fault in zip(due, pool.map(work, due), strict=True):
                if fault is not None:
                    faults[path] = fault
                bar.update()
    except OSError as error:
        raise disk_error(error, _root(), remedy="set XDG_CACHE_HOME to another disk") from error
    return faults


def _refresh(session: SafeSession, path: Path) -> str | None:
    """Fetch a file unless the one that is here is still the one at its address."""
    address = _addresses[path]
    note = path.with_name(f".{path.name}.version")
    try:
        if scheme(address) in WEB:
            found = transfer.version(session, address, _TIMEOUT)
        else:
            found = stores.version(address)
    except Refused as refusal:
        return str(refusal)
    except Broken as failure:
        if not path.exists():
            return _fetch(session, path)  # which tries again, and reports why
        _log.warning("%s %s: the copy of before is read", without_secrets(address), failure)
        return None
    text = json.dumps(found, sort_keys=True)
    if not (found and path.exists() and note.exists() and note.read_text("utf-8") == text):
        if (fault := _fetch(session, path)) is not None:
            return fault
        write_whole(note, text, durable=False)
    _current.add(path)
    return None


def _fetch(session: SafeSession, path: Path) -> str | None:
    """Fetch a file; returns why it is not to be had.

    Raises:
        DownloadError: its host does not answer.
    """
    address = _addresses[path]
    part = path.with_name(f"{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    if not part.with_name(f"{part.name}.validator").exists():
        part.unlink(missing_ok=True)  # it may be of another version
    for number in range(_TRIES):
        time.sleep(2.0 ** (number - 1) if number else 0.0)
        try:
            if scheme(address) in WEB:
                from_mirror(session, address, part, Expected(), _TIMEOUT, _LEAST_SHOWN)
            else:
                stores.transfer(address, part, least_shown=_LEAST_SHOWN)
        except Refused as refusal:
            return str(refusal)
        except Broken as failure:
            reason = str(failure)
        else:
            part.replace(path)
            return None
    keys = "" if scheme(address) in WEB else " and your credentials"
    raise DownloadError(
        f"{without_secrets(address)} {reason}: check the network{keys} and start again, what has"
        " arrived is kept"
    )
