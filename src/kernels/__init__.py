"""Inner loops on the CPU, compiled by Numba when first used and then kept on disk.

They release the GIL, so threads of one process use all cores.

Numba keeps machine code by the file of a function and does not see that a function of another
file, which was compiled into it, has changed. So the folder of its cache carries a digest of all
files here.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numba

from src.paths import resolve

CACHE = "data/cache/numba"


def cache_folder() -> Path:
    """Where the machine code of these files is kept; ``NUMBA_CACHE_DIR`` moves it."""
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return resolve(os.environ.get("NUMBA_CACHE_DIR") or CACHE) / digest.hexdigest()[:16]


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
        return cast("Callable[..., Any]", numba.njit(nogil=True, cache=True, **options)(function))
    finally:
        config.CACHE_DIR = before
