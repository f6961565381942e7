from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepspeech2.decoding import language_model
from deepspeech2.decoding.language_model import locate
from deepspeech2.errors import DownloadError, ManifestError
from deepspeech2.http import fetch as fetch_module
from tests.loopback import Resource, Server, serve

NAME = "3-gram.pruned.3e-7"
BODY = gzip.compress(b"\\data\\\n" * 50)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(fetch_module.time, "sleep", lambda _: None)
    monkeypatch.setattr(language_model, "FOLDER", str(tmp_path))
    known = hashlib.md5(BODY).hexdigest(), len(BODY)
    monkeypatch.setitem(language_model.MODELS, NAME, known)
    with serve() as state:
        monkeypatch.setattr(language_model, "MIRRORS", (state.url,))
        yield state


@pytest.mark.parametrize("lm", [NAME, f"{NAME}.arpa", f"{NAME}.arpa.gz"])
def test_a_model_by_name_is_fetched_once(server: Server, tmp_path: Path, lm: str) -> None:
    server.put(f"/11/{NAME}.arpa.gz", Resource(BODY))
    for _ in range(2):
        assert locate(lm) == tmp_path / f"{NAME}.arpa.gz"
    assert (tmp_path / f"{NAME}.arpa.gz").read_bytes() == BODY
    assert len(server.requests) == 1


def test_another_file_is_refused(server: Server, tmp_path: Path) -> None:
    server.put(f"/11/{NAME}.arpa.gz", Resource(BODY[:-1] + b"?"))
    with pytest.raises(DownloadError, match="md5"):
        locate(NAME)
    assert not (tmp_path / f"{NAME}.arpa.gz").exists()


def test_neither_a_model_nor_a_file(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"does not exist: name an ARPA file .* 4-gram"):
        locate("5-gram")
    path = tmp_path / "own.arpa"
    path.touch()
    assert locate(str(path)) == path
