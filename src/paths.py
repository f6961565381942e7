"""Where things lie: every relative path is relative to the repository's root."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def resolve(path: str | Path) -> Path:
    """``path`` itself when it is absolute, otherwise below the repository's root."""
    return ROOT / Path(path).expanduser()


def move_aside(path: Path) -> Path | None:
    """Rename ``path`` to the first free ``<name>.old-<N>`` and return that; None if absent."""
    if not path.exists():
        return None
    number = 1
    while (target := path.with_name(f"{path.name}.old-{number}")).exists():
        number += 1
    path.rename(target)
    return target
