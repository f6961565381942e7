"""Whether Weights & Biases has a key here. Keys are not kept, shown or sent."""

from __future__ import annotations

import netrc
import os
from pathlib import Path
from urllib.parse import urlparse

_SERVER = "https://api.wandb.ai"
_VARIABLES = ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")


def has_wandb_key() -> bool:
    """Whether the environment or the netrc file holds a key for the server in use."""
    if any(os.environ.get(name) for name in _VARIABLES):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL") or _SERVER).hostname or ""
    return any(_knows(file, host) for file in _netrc_files())


def _netrc_files() -> list[Path]:
    named = os.environ.get("NETRC")
    if named:
        return [Path(named).expanduser()]
    return [Path("~/.netrc").expanduser(), Path("~/_netrc").expanduser()]


def _knows(file: Path, host: str) -> bool:
    try:
        return file.is_file() and host in netrc.netrc(str(file)).hosts
    except (OSError, netrc.NetrcParseError):
        return False
