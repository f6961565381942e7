"""Addresses of files, as ``https://host/a.wav`` and ``s3://bucket/a.wav``, and their parts."""

from __future__ import annotations

import hashlib
import posixpath
import re
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from deepspeech2.files import safe_name

WEB = ("http", "https")
SCHEMES = (
    *WEB, "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "hf", "memory", "ftp", "sftp",
    "ssh", "smb", "hdfs", "webhdfs", "oss", "oci",
)  # fmt: skip
"""What is fetched: others of fsspec's run templates, chain others, or read this disk."""

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://.", re.DOTALL)
_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")
# of signed addresses: with another signature it is the same file
_SIGNATURE = re.compile(
    r"x-(amz|goog|ms)-.*|signature|sig|expires|policy|key-pair-id|awsaccesskeyid|googleaccessid"
    r"|(access_)?token|s[teprv]|spr|sk\w{1,3}",
    re.IGNORECASE,
)


def is_address(text: object) -> bool:
    """Whether ``text`` is an address and no path."""
    return isinstance(text, str) and _ADDRESS.match(text) is not None


def scheme(address: str) -> str:
    """What stands before ``://``."""
    return address.partition("://")[0].lower()


def joined(name: str | Path, data_dir: str | Path | None) -> str | None:
    """The address of ``name`` below ``data_dir``; None where it is on this disk."""
    if is_address(name):
        return str(name)
    if is_address(data_dir) and not Path(name).is_absolute():
        return f"{str(data_dir).rstrip('/')}/{name}"
    return None


def numbered(pattern: str) -> list[str]:
    """``pattern`` for each number of ``{000..127}`` in it, or alone."""
    braces = _BRACES.search(pattern)
    if braces is None:
        return [pattern]
    first, last = braces.groups()
    numbers = [f"{number:0{len(first)}}" for number in range(int(first), int(last) + 1)]
    return [f"{pattern[: braces.start()]}{each}{pattern[braces.end() :]}" for each in numbers]


def folder(address: str) -> str:
    """The address of the folder that a file is in."""
    parts = _split(address)
    return f"{parts.scheme}://{parts.netloc}{posixpath.dirname(parts.path)}"


def relative(base: str, name: str) -> str:
    """The address of the file ``name`` below the folder ``base``.

    Raises:
        ValueError: ``name`` is absolute.
    """
    if PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive:
        raise ValueError(f"{name} is a path of another machine: write it relative to the list")
    parts = _split(base)
    path = f"{parts.path}/{quote(name) if parts.scheme in WEB else name}"
    if {".", ".."} & set(name.split("/")):
        path = posixpath.normpath(path)
    return f"{parts.scheme}://{parts.netloc}/{path.lstrip('/')}"


def as_path(address: str) -> PurePath:
    """A relative path for the file of an address; passwords and signatures make no difference."""
    parts = _split(address)
    user, _, host = parts.netloc.rpartition("@")
    host = f"{user}@{host}" if user and ":" not in user and parts.scheme not in WEB else host
    names = parts.path.split("/")[1:]
    if parts.scheme in WEB:
        host, names = host.lower(), [unquote(each) for each in names]
    query = [pair for pair in parse_qsl(parts.query) if not _SIGNATURE.fullmatch(pair[0])]
    if query:
        digest = hashlib.blake2b(urlencode(query).encode(), digest_size=6).hexdigest()
        names.insert(len(names) - 1, f"query-{digest}")
    return PurePath(*map(safe_name, (parts.scheme.lower(), host, *names)))


def _split(address: str) -> SplitResult:
    """Only on the web does a question mark begin something else than a name."""
    if scheme(address) in WEB:
        return urlsplit(address)
    kind, _, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    return SplitResult(kind.lower(), host, slash + path, "", "")
