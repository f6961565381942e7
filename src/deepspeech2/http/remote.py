"""Files behind addresses, as ``https://`` and ``s3://``: fetched once, read from this disk.

Lists, shards and recordings are kept in the user's cache, in folders named as the address is. So
whatever reads a file reads these as well, in any process. Only who opens a corpus or a recording
by name fetches anything, never who reads it: a server does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath

from deepspeech2.errors import ConfigError, DownloadError
from deepspeech2.escaping import without_secrets
from deepspeech2.http import addresses, stores
from deepspeech2.http.addresses import SCHEMES, WEB, is_address, joined, numbered, scheme
from deepspeech2.http.fetched import fetch_all, place, root
from deepspeech2.http.transfer import Broken, Refused
from deepspeech2.paths import resolve

_REMEDY = "check the address, and that you may read what is there"

_addresses: dict[Path, str] = {}  # of the files that may be fetched
_folders: dict[Path, str] = {}  # the addresses that relative paths of fetched lists count from


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
    path = place(address.rstrip("/"))
    _folders[path] = address.rstrip("/")
    return path


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
    path = place(address)
    _addresses[path] = address
    return path.relative_to(folder) if path.is_relative_to(folder) else path


def place_free(path: PurePath) -> PurePath:
    """``path``, of what is fetched below the cache: the same on every machine."""
    return path.relative_to(root()) if _addresses and path in _addresses else path


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
    wanted = {each: _addresses[each] for each in paths if each in _addresses}
    return fetch_all(wanted, compare=False)


def copies(wanted: Sequence[str]) -> list[Path]:
    """The files at addresses, fetched anew where they have changed since they were fetched.

    Without a network those of before are taken.

    Raises:
        ConfigError: an address is of a kind that is not fetched, or a package is missing.
        DownloadError: one cannot be fetched.
    """
    for address in wanted:
        if scheme(address) not in SCHEMES or "::" in address:
            raise ConfigError(
                f"{without_secrets(address)} cannot be fetched: give a path, or an address of"
                f" {', '.join(SCHEMES[:6])} ..."
            )
    places = {address: place(address) for address in wanted}
    faults = fetch_all({path: address for address, path in places.items()}, compare=True)
    for address, path in places.items():
        if path in faults:
            raise DownloadError(f"{without_secrets(address)} {faults[path]}: {_REMEDY}")
        _addresses[path] = address
    return [places[address] for address in wanted]


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
