"""Where files are: relative paths in configs count from the repository's root.

Where the package is installed without a repository they count from the current folder, and the
configs and the small model are those that came with the package.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = PACKAGE.parents[1]
_IN_CHECKOUT = (
    PACKAGE.parent.name == "src"
    and (_CHECKOUT / "configs").is_dir()
    and (_CHECKOUT / "train.py").is_file()
)
ROOT = _CHECKOUT if _IN_CHECKOUT else Path.cwd()
CONFIGS = (ROOT if _IN_CHECKOUT else PACKAGE) / "configs"

_PATH = re.compile(r"(?<![\w./~:-])(?:~|[A-Za-z]:)?(?:[/\\][\w.+@%=-]+)+[/\\]?")


def at_home(path: str | Path) -> Path:
    """``path``, its ``~/`` replaced by the user's folder; ``~name`` is a file of that name."""
    return Path(path).expanduser() if str(path).partition("/")[0] == "~" else Path(path)


def resolve(path: str | Path) -> Path:
    """``path`` itself when it is absolute, otherwise below the repository's root.

    A file that is not there may have come with the package, as ``models/english.pth``.
    """
    below_root, shipped = ROOT / at_home(path), PACKAGE / path
    # os.path, as pathlib raises for a text that is too long for a name
    return shipped if os.path.isfile(shipped) and not os.path.exists(below_root) else below_root


def typed(path: str | Path) -> Path:
    """``path`` as typed on a command line, absolute.

    A relative one counts from the current folder, and from the root if it exists only there.
    """
    here, below_root = at_home(path).absolute(), resolve(path)
    return below_root if below_root.exists() and not here.exists() else here


def install(extra: str) -> str:
    """The command that installs what the optional part ``extra`` needs: ``onnx``, ``serve``."""
    if _IN_CHECKOUT:
        return f"pip install -r requirements-{extra}.txt"
    return f"pip install 'deepspeech2[{extra}]'"


def move_aside(path: Path) -> Path | None:
    """Rename ``path`` to the first free ``<name>.old-<N>`` and return that; None if absent."""
    if not path.exists():
        return None
    number = 1
    while (target := path.with_name(f"{path.name}.old-{number}")).exists():
        number += 1
    path.rename(target)
    return target


def without_paths(text: str) -> str:
    """``text`` with the last component in place of every absolute path.

    >>> without_paths("python train.py -cn=an4 data_dir=/home/me/an4 trainer.save_dir=runs/a")
    'python train.py -cn=an4 data_dir=an4 trainer.save_dir=runs/a'
    """
    return _PATH.sub(lambda found: re.split(r"[/\\]", found[0].rstrip("/\\"))[-1], text)
