"""Inner loops on the CPU, compiled by Numba when first used and then cached on disk.

They release the GIL, so threads of one process use all cores.

Numba caches machine code by the file of a function and does not notice when a function of another
file, which was compiled into it, has changed. So the name of the cache's folder is a digest of all
modules with kernel in their name and of those in folders called kernels.

The cache consists of pickles, which run whatever they contain: a file is read only behind the seal
of this user.
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import hashlib
import logging
import os
import pickle
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, cast

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile

from deepspeech2.paths import PACKAGE, resolve
from deepspeech2.user_cache import private, read_sealed, user_folder, write_sealed

_log = logging.getLogger(__name__)


@cache
def cache_folder() -> Path:
    """Return the folder of the machine code.

    In this user's cache, or in ``NUMBA_CACHE_DIR`` if nobody else may write there.
    """
    digest = hashlib.sha256(numba.__version__.encode())
    kernels = {*PACKAGE.rglob("*kernel*.py"), *PACKAGE.rglob("kernels/*.py")}
    for path in sorted({Path(__file__), *kernels}):  # this file has the compiler's options
        digest.update(path.read_bytes())
    return _base() / digest.hexdigest()[:16]


def _base() -> Path:
    given = os.environ.get("NUMBA_CACHE_DIR")
    if given:
        folder = resolve(given)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if private(folder):
                return folder
            reason = "others may write there"
        except OSError as error:
            reason = str(error)
        _log.warning("NUMBA_CACHE_DIR=%s is not used: %s", given, reason)
    return user_folder() / "numba"


class _Files(IndexDataCacheFile):
    """Numba's index and data files of a function, each behind a seal."""

    def _load_index(self) -> Any:
        content = read_sealed(Path(self._index_path))
        stamp, overloads = (None, {}) if content is None else pickle.loads(content)
        return overloads if stamp == self._source_stamp else {}

    def _save_index(self, overloads: Any) -> None:
        write_sealed(Path(self._index_path), self._dump((self._source_stamp, overloads)))

    def _load_data(self, name: str) -> Any:
        content = read_sealed(Path(self._data_path(name)))
        if content is None:
            raise FileNotFoundError(name)  # Numba compiles anew
        return pickle.loads(content)

    def _save_data(self, name: str, data: Any) -> None:
        write_sealed(Path(self._data_path(name)), self._dump(data))


class _Cache(FunctionCache):
    """Machine code of a function that is compiled anew where it cannot be kept."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        stamp = self._impl.locator.get_source_stamp()
        self._cache_file = _Files(self._cache_path, self._impl.filename_base, stamp)

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError as error:
            _log.warning("machine code cannot be kept for the next run: %s", error)


def compiled(
    function: Callable[..., Any], *, fused: bool = False, reordered: bool = False
) -> Callable[..., Any]:
    """``function``, to be compiled at its first call with arguments of some types.

    Args:
        fused: whether a product may be added without being rounded first; infinities and
            values that are not a number stay what they are.
        reordered: whether sums may also be taken in any order, which is how they vectorise.
    """
    config: Any = numba.config
    before = config.CACHE_DIR
    config.CACHE_DIR = str(cache_folder())
    options: Any = {}
    if fused or reordered:
        liberties = {"contract", "reassoc"} if reordered else {"contract"}
        options = {"fastmath": liberties, "error_model": "numpy"}
    try:
        result: Any = numba.njit(nogil=True, **options)(function)
        result._cache = _Cache(function)
    finally:
        config.CACHE_DIR = before
    return cast("Callable[..., Any]", result)
