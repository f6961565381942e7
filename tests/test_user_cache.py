"""Caches that others made, or that were damaged, are neither read nor waited for."""

from __future__ import annotations

import logging
import os
import pickle
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from deepspeech2 import user_cache
from deepspeech2.jit import _Files
from deepspeech2.paths import ROOT
from deepspeech2.text.ngram.arpa import write_arpa
from deepspeech2.text.ngram.cache import cache_path, load_ngram
from deepspeech2.user_cache import private, read_sealed, seal, user_folder, write_sealed
from tests.decoding.ngram_oracle import random_tables


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user without caches."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    forget()
    yield tmp_path / "cache" / "deepspeech2"
    forget()


def forget() -> None:
    """As in another process."""
    user_folder.cache_clear()
    user_cache._key.cache_clear()


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut off": lambda content: content[: len(content) // 2],
    "a byte longer": lambda content: content + b"\0",
    "a flipped bit": lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
    "another's": lambda content: os.urandom(32) + content[32:],
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_what_was_changed_is_not_read(
    home: Path, tmp_path: Path, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "kept"
    assert read_sealed(path) is None
    write_sealed(path, b"content " * 100)
    assert read_sealed(path) == b"content " * 100
    assert not caplog.records
    path.write_bytes(damage(path.read_bytes()))
    assert read_sealed(path) is None
    assert f"{path} is made anew" in caplog.text


def test_a_seal_is_of_this_user_this_name_and_this_content(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for size in (0, 1, user_cache._CHUNK - 1, 2 * user_cache._CHUNK + 1):
        content = bytes(size)
        assert seal("a", content) == seal("a", content) != seal("b", content)
        assert seal("a", content) != seal("a", content + b"\0")
    assert stat.S_IMODE((home / "key").stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    before = seal("a", b"x")
    forget()
    assert seal("a", b"x") == before
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another user"))
    forget()
    assert seal("a", b"x") != before


def test_pipes_folders_and_loops_in_its_place_are_not_waited_for(
    home: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "link").symlink_to("mine")
    for name in ("pipe", "folder", "loop", "link"):
        assert read_sealed(tmp_path / name) is None
    for name in ("pipe", "loop", "link"):
        write_sealed(tmp_path / name, b"content")
        assert read_sealed(tmp_path / name) == b"content"
    assert (tmp_path / "mine").read_bytes() == b"mine"


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_folder_that_others_may_write_to_is_not_used(
    home: Path, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    home.mkdir(parents=True)
    home.chmod(mode)
    folder = user_folder()
    assert folder != home
    assert private(folder)
    assert "set XDG_CACHE_HOME to a folder of your own" in caplog.text
    home.chmod(0o755)
    assert private(home)
    home.parent.chmod(0o777)  # where another can rename it
    assert not private(home)


def test_without_a_place_for_caches(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    forget()
    assert private(user_folder())
    assert "cannot keep caches" in caplog.text
    assert seal("a", b"x") == seal("a", b"x")


class Planted:
    """Runs when it is unpickled."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.witness,)


def test_planted_machine_code_does_not_run(home: Path, tmp_path: Path) -> None:
    files = _Files(str(tmp_path), "f", "stamp")
    files.save("key", {"some": "code"})
    assert files.load("key") == {"some": "code"}
    planted = pickle.dumps(Planted(tmp_path / "witness"))
    for name in ("f.nbi", "f.1.nbc"):
        path = tmp_path / name
        right = path.read_bytes()
        for content in (planted, right[:32] + planted, right[:-1], b""):
            path.write_bytes(content)
            assert files.load("key") is None
        files.save("key", {"some": "code"})  # written anew
        assert files.load("key") == {"some": "code"}
    assert not (tmp_path / "witness").exists()
    assert _Files(str(tmp_path), "f", "another stamp").load("key") is None


def test_machine_code_is_kept_for_these_compiler_options_and_kernels(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "src")
    package = tmp_path / "src/deepspeech2"
    kernels = [path for path in package.rglob("*.py") if "import compiled" in path.read_text()]
    assert len(kernels) >= 4
    folders = set()
    for path in (None, package / "jit.py", *kernels):
        if path:
            path.write_text(f"{path.read_text()}# changed\n")
        folders.add(
            subprocess.run(
                [sys.executable, "-c", "from deepspeech2 import jit; print(jit.cache_folder())"],
                env=os.environ | {"PYTHONPATH": str(tmp_path / "src")},
                capture_output=True, text=True, check=True,
            ).stdout
        )  # fmt: skip
    assert len(folders) == 2 + len(kernels)


PROGRAM = """
import logging, numpy
from deepspeech2 import jit
logging.basicConfig(format="%(message)s")
print(jit.cache_folder())
from deepspeech2.text.ngram.kernel import NODE, lower_bound
print(lower_bound(numpy.zeros(1, NODE), 0, 0, 1))
"""


def run(**environment: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True,
        env=os.environ | {name: str(value) for name, value in environment.items()},
    )  # fmt: skip


def test_kernels_are_kept_for_this_user_whoever_owns_the_checkout(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    home = tmp_path / "cache"
    first = run(XDG_CACHE_HOME=home, NUMBA_CACHE_DIR=shared)
    folder = Path(first.stdout.split()[0])
    assert folder.parent == home / "deepspeech2" / "numba"
    assert f"NUMBA_CACHE_DIR={shared} is not used: others may write there" in first.stderr
    assert not list(shared.iterdir())
    (code,) = folder.rglob("kernel.lower_bound-*.nbc")
    before = code.stat().st_mtime_ns
    shared.chmod(0o700)
    second = run(XDG_CACHE_HOME=home, NUMBA_CACHE_DIR="")
    assert second.stderr == ""
    assert code.stat().st_mtime_ns == before  # read, not compiled
    code.write_bytes(code.read_bytes()[:-1])
    third = run(XDG_CACHE_HOME=home, NUMBA_CACHE_DIR="")
    assert f"{code} is made anew" in third.stderr
    assert code.stat().st_mtime_ns != before
    assert first.stdout.split()[1] == third.stdout.split()[1] == "0"
    assert Path(run(XDG_CACHE_HOME=home, NUMBA_CACHE_DIR=shared).stdout.split()[0]).parent == shared


def test_the_cache_of_a_language_model_is_this_users(
    home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "model.arpa"
    write_arpa(random_tables(("a", "b", "c"), 2, seed=1), path)
    expected = load_ngram(path).nodes.copy()
    cache = cache_path(path)
    assert cache.is_relative_to(home)
    assert sorted(os.listdir(tmp_path)) == ["cache", "model.arpa"]
    right = cache.read_bytes()
    for damage in (*DAMAGE.values(), lambda content: content[:20] + bytes(32) + content[52:]):
        caplog.clear()
        cache.write_bytes(damage(right))
        np.testing.assert_array_equal(load_ngram(path).nodes, expected)
        assert f"{cache} is made anew" in caplog.text
        assert cache.read_bytes() == right
    caplog.clear()
    cache.unlink()
    os.mkfifo(cache)
    np.testing.assert_array_equal(load_ngram(path).nodes, expected)
    assert cache.read_bytes() == right
    # what belongs to no model any more goes
    path.rename(tmp_path / "renamed.arpa")
    load_ngram(tmp_path / "renamed.arpa")
    assert not cache.exists()
    assert not [record for record in caplog.records if record.levelno > logging.WARNING]
