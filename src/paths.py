"""Where things lie: relative paths in configs count from the repository's root."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def at_home(path: str | Path) -> Path:
    """``path``, its ``~/`` replaced by the user's folder; ``~name`` is a file of that name."""
    return Path(path).expanduser() if str(path).partition("/")[0] == "~" else Path(path)


def resolve(path: str | Path) -> Path:
    """``path`` itself when it is absolute, otherwise below the repository's root."""
    return ROOT / at_home(path)


def typed(path: str | Path) -> Path:
    """``path`` as typed on a command line, absolute.

    A relative one counts from the current folder, and from the root if it exists only there.
    """
    here, below_root = at_home(path).absolute(), resolve(path)
    return below_root if below_root.exists() and not here.exists() else here


def move_aside(path: Path) -> Path | None:
    """Rename ``path`` to the first free ``<name>.old-<N>`` and return that; None if absent."""
    if not path.exists():
        return None
    number = 1
    while (target := path.with_name(f"{path.name}.old-{number}")).exists():
        number += 1
    path.rename(target)
    return target
