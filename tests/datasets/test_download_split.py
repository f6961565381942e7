"""Unpacking archives, and splits of LibriSpeech from a server on loopback."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepspeech2.datasets import download
from deepspeech2.datasets import download as unpacking
from deepspeech2.datasets.download import MARKER, MIRRORS, SPLITS, Split, download_split, unpack
from deepspeech2.errors import ConfigError, DownloadError
from tests.loopback import Resource, Server, serve

FILES = {
    "LibriSpeech/SPEAKERS.TXT": b"speakers",
    "LibriSpeech/dev-clean/1/2/1-2.trans.txt": b"1-2-0000 HELLO\n",
    "LibriSpeech/dev-clean/1/2/1-2-0000.flac": bytes(range(256)) * 100,
}


def tar_of(files: dict[str, bytes], *members: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for member in members:
            archive.addfile(member)
    return buffer.getvalue()


def link(name: str, to: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serve() as state:
        yield state


def offer(server: Server, monkeypatch: pytest.MonkeyPatch, body: bytes) -> Resource:
    known = Split(12, hashlib.md5(body).hexdigest(), len(body))
    monkeypatch.setitem(SPLITS, "dev-clean", known)
    resource = Resource(body)
    server.put("/12/dev-clean.tar.gz", resource)
    return resource


def test_checksums_cover_what_the_corpus_offers() -> None:
    assert len({split.md5 for split in SPLITS.values()}) == len(SPLITS)
    assert all(re.fullmatch("[0-9a-f]{32}", split.md5) for split in SPLITS.values())
    assert all(base.startswith("https://") and not base.endswith("/") for base in MIRRORS)


def test_split(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(server, monkeypatch, tar_of(FILES))
    mirrors = [f"{server.url}/absent", server.url + "/"]
    folder = download_split("dev-clean", tmp_path, mirrors=mirrors)
    assert folder == tmp_path / "dev-clean"
    for name, content in FILES.items():
        assert (tmp_path / name.removeprefix("LibriSpeech/")).read_bytes() == content
    assert (folder / MARKER).exists()
    names = {path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")}
    assert names == {"dev-clean", "SPEAKERS.TXT"}  # neither archive nor temporary folder
    asked = len(server.requests)
    assert download_split("dev-clean", tmp_path, mirrors=mirrors) == folder
    assert len(server.requests) == asked


def test_split_is_resumed(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = tar_of(FILES)
    resource = offer(server, monkeypatch, body)
    resource.breaks = [100, 0]
    with pytest.raises(DownloadError):
        download_split("dev-clean", tmp_path, mirrors=[server.url], retries=1)
    assert not (tmp_path / "dev-clean").exists()
    download_split("dev-clean", tmp_path, mirrors=[server.url])
    assert server.requests[-1].range == "bytes=100-"
    assert server.requests[-1].sent == len(body) - 100


def test_users_own_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "dev-clean" / "7").mkdir(parents=True)
    assert download_split("dev-clean", tmp_path, mirrors=[]) == tmp_path / "dev-clean"


def test_unknown_split(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"dev-clean.*'dev-dirty'"):
        download_split("dev-dirty", tmp_path)


def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SPLITS, "dev-clean", Split(12, "0" * 32, 10**18))
    with pytest.raises(DownloadError, match="make room"):
        download_split("dev-clean", tmp_path, mirrors=[])


def test_archive_of_something_else(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(server, monkeypatch, tar_of({"other/file": b""}))
    with pytest.raises(DownloadError, match="contains no LibriSpeech/dev-clean"):
        download_split("dev-clean", tmp_path, mirrors=[server.url])
    assert not (tmp_path / "dev-clean").exists()


@pytest.mark.parametrize(
    "body",
    [
        tar_of({"../escaped": b"x"}),
        tar_of({"a/../../escaped": b"x"}),
        tar_of({}, link("a", "../../escaped")),
        tar_of({}, link("a", "../escaped", tarfile.LNKTYPE)),
        tar_of({}, link("a", "/etc/passwd")),
        tar_of({"b": b"x"}, link("a", "b")),
        tar_of({}, link("a", "nowhere", tarfile.LNKTYPE)),
        tar_of({}, link("a", "", tarfile.FIFOTYPE)),
        tar_of({}, link("a", "", tarfile.CHRTYPE)),
    ],
    ids=[
        "up", "up-inside", "symlink", "hardlink", "absolute-link", "link-inside", "broken-hardlink",
        "pipe", "device",
    ],
)  # fmt: skip
def test_nothing_leaves_the_folder(tmp_path: Path, body: bytes) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    archive = inner / "x.tar.gz"
    archive.write_bytes(body)
    with pytest.raises(DownloadError, match=r"would leave|is neither a file nor a folder"):
        unpack(archive, inner / "out")
    assert {path.name for path in tmp_path.rglob("*")} <= {"inner", "x.tar.gz", "out.lock"}


def test_absolute_names_stay_inside(tmp_path: Path) -> None:
    """The leading slash is stripped, as tar does."""
    outside = tmp_path / "outside"
    archive = tmp_path / "x.tar.gz"
    archive.write_bytes(tar_of({str(outside): b"x"}))
    unpack(archive, tmp_path / "out")
    assert not outside.exists()
    assert (tmp_path / "out" / outside.relative_to("/")).read_bytes() == b"x"


@pytest.mark.parametrize("cut", [10, 200, -20])
def test_damaged_archive_leaves_nothing(tmp_path: Path, cut: int) -> None:
    archive = tmp_path / "x.tar.gz"
    archive.write_bytes(tar_of(FILES)[:cut])
    with pytest.raises(DownloadError, match="is damaged"):
        unpack(archive, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} <= {"x.tar.gz", "out.lock"}


def test_interrupted_unpacking_starts_over(tmp_path: Path) -> None:
    archive = tmp_path / "x.tar.gz"
    archive.write_bytes(tar_of(FILES))
    stale = tmp_path / "out.unpacking"
    stale.mkdir()
    (stale / "half").write_bytes(b"")
    assert unpack(archive, tmp_path / "out") == tmp_path / "out"
    assert not stale.exists()
    assert not (tmp_path / "out" / "half").exists()
    assert download.unpack is unpack


def test_a_path_longer_than_the_system_takes_stays_inside(tmp_path: Path) -> None:
    """CVE-2025-4517: links to folders with long names, through which a resolved path is cut off."""
    deep = "d" * 247
    members = []
    step = ""
    for letter in "abcdefghijklmnop":
        folder = tarfile.TarInfo(f"{step}{deep}")
        folder.type = tarfile.DIRTYPE
        members += [folder, link(f"{step}{letter}", deep)]
        step += f"{deep}/"
    chain = "/".join("abcdefghijklmnop")
    members += [link(f"{chain}/{'l' * 254}", "../" * 16), link("escape", f"{chain}/{'l' * 254}/..")]
    archive = tmp_path / "inner" / "x.tar.gz"
    archive.parent.mkdir()
    archive.write_bytes(tar_of({}, *members))
    with pytest.raises(DownloadError, match="is neither a file nor a folder"):
        unpack(archive, archive.parent / "out")
    archive.write_bytes(tar_of({f"{deep}/" * 20 + "file": b"x"}))
    with pytest.raises(DownloadError, match=r"cannot be written \(File name too long"):
        unpack(archive, archive.parent / "out")
    assert {path.name for path in archive.parent.iterdir()} <= {"x.tar.gz", "out.lock"}


@pytest.mark.parametrize("content", ["one file", "many files", "a hole", "a header"])
def test_a_small_archive_does_not_fill_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.setattr(unpacking, "_MOST_BYTES", 1_000_000)
    monkeypatch.setattr(unpacking, "_MOST_AT_ONCE", 1_000_000)
    archive = tmp_path / "x.tar.gz"
    if content == "one file":
        archive.write_bytes(tar_of({"a": bytes(2_000_000)}))
    elif content == "many files":
        archive.write_bytes(tar_of({f"{number}": b"" for number in range(1000)}))
    elif content == "a header":
        long = tarfile.TarInfo("a")
        long.pax_headers = {"comment": "x" * 2_000_000}
        archive.write_bytes(tar_of({}, long))
    else:
        hole = tarfile.TarInfo("a")
        hole.pax_headers = {
            "GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.name": "a",
            "GNU.sparse.size": str(1 << 40), "GNU.sparse.realsize": str(1 << 40),
            "GNU.sparse.map": "0,0",
        }  # fmt: skip
        archive.write_bytes(tar_of({}, hole))
    with pytest.raises(DownloadError, match=r"bytes become more than|is damaged"):
        unpack(archive, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} <= {"x.tar.gz", "out.lock"}


@given(st.data())
@settings(max_examples=150)
def test_no_archive_ends_in_anything_but_a_sentence(data: st.DataObject) -> None:
    body = bytearray(gzip.decompress(tar_of(FILES, link("a", "b"))))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "inner" / "x.tar.gz"
        archive.parent.mkdir()
        archive.write_bytes(gzip.compress(bytes(body), 1))
        with suppress(DownloadError):
            unpack(archive, archive.parent / "out")
        assert [path.name for path in Path(folder).iterdir()] == ["inner"]
