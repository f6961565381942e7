"""Whole files, locks, and names from outside."""

from __future__ import annotations

import errno
import multiprocessing
import os
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepspeech2.errors import ConfigError
from deepspeech2.files import (
    alone,
    lock,
    locked,
    safe_name,
    sweep,
    whole_file,
    whole_folder,
    write_whole,
)
from tests.disks import full_disk, remains

NAMES = st.text(
    st.sampled_from("./\\:$ {}~\n\x00aé…\udc80nulcon1") | st.characters(), min_size=0, max_size=300
)


@given(NAMES, NAMES)
def test_a_name_is_one_component_and_no_two_names_meet(one: str, other: str) -> None:
    first, second = safe_name(one), safe_name(other)
    for name in (first, second):
        assert name not in ("", ".", "..")
        assert not set(name) & set("/\\:\0")
        assert not name.startswith(".")
        assert len(name.encode()) <= 200
        assert name == safe_name(name)
    assert (first == second) == (one == other)


@pytest.mark.parametrize(
    "name", ["..", "CON", "nul.txt", "com1", "a:b", "a ", "x" * 300, "", "a/b"]
)
def test_names_of_devices_and_the_like_are_changed(name: str) -> None:
    assert safe_name(name) != name


def test_what_was_there_stays_until_the_new_file_is_whole(tmp_path: Path) -> None:
    real, link = tmp_path / "real.txt", tmp_path / "link.txt"
    real.write_text("old", encoding="utf-8")
    real.chmod(0o640)
    link.symlink_to(real)

    def broken() -> None:
        with whole_file(link, "w") as file:
            file.write("ha")
            assert real.read_text(encoding="utf-8") == "old"
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        broken()
    assert real.read_text(encoding="utf-8") == "old"
    write_whole(link, "new")
    assert link.is_symlink()
    assert real.read_text(encoding="utf-8") == "new"
    assert real.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.txt", "real.txt"]


def _die_writing(path: Path) -> None:
    with whole_file(path, "w"):
        os._exit(9)


def test_remains_of_a_killed_writer_are_swept_and_those_of_a_living_one_are_not(
    tmp_path: Path,
) -> None:
    process = multiprocessing.get_context("spawn").Process(
        target=_die_writing, args=(tmp_path / "a.txt",)
    )
    process.start()
    process.join()
    assert len(list(tmp_path.iterdir())) == 1
    with whole_file(tmp_path / "b.txt"):
        sweep(tmp_path)
        assert len(list(tmp_path.iterdir())) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["b.txt"]


def _hold_until(path: Path, ready: Event, go: Event) -> None:
    held = lock(path, "in use")
    ready.set()
    go.wait()
    held.release()


def _write_alone(path: Path, ready: Event, go: Event) -> None:
    with alone(path):
        ready.set()
        go.wait()
        write_whole(path, "first")


def test_the_second_writer_of_a_new_file_is_refused(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, go = context.Event(), context.Event()
    process = context.Process(target=_write_alone, args=(tmp_path / "a", ready, go))
    process.start()
    assert ready.wait(100)
    with pytest.raises(ConfigError, match="another process writes"), alone(tmp_path / "a"):
        pass
    go.set()
    process.join()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_lock_keeps_others_out_until_its_process_is_dead(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, go = context.Event(), context.Event()
    process = context.Process(target=_hold_until, args=(tmp_path / ".lock", ready, go))
    process.start()
    assert ready.wait(60)
    with pytest.raises(ConfigError, match="in use"):
        lock(tmp_path / ".lock", "in use")
    process.kill()
    process.join()
    lock(tmp_path / ".lock", "in use").release()


def test_nobody_else_reads_a_private_file_while_it_is_written(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.touch(0o600)
    with whole_file(private, "w"):
        (temporary,) = (path for path in tmp_path.iterdir() if path != private)
        assert temporary.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives away")
def test_a_file_of_another_user_stays_theirs(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.touch(0o600)
    os.chown(theirs, 65534, 65534)
    write_whole(theirs, "new")
    assert (theirs.stat().st_uid, theirs.stat().st_mode & 0o777) == (65534, 0o600)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_device_is_written_and_not_replaced() -> None:
    write_whole(Path("/dev/null"), "gone")
    assert Path("/dev/null").is_char_device()
    with pytest.raises(OSError, match="No space left"):
        write_whole(Path("/dev/full"), "refused", durable=False)


def test_a_folder_or_a_long_name_where_a_file_should_be(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match=str(tmp_path)):
        write_whole(tmp_path, "text")
    write_whole(tmp_path / ("é" * 120), "text")
    with pytest.raises(OSError, match="name too long"):
        write_whole(tmp_path / ("é" * 200), "text")
    assert len(list(tmp_path.iterdir())) == 1


def test_a_full_disk_leaves_what_was_there_and_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_whole(path, "old")
    with full_disk(100), pytest.raises(OSError, match=r"a\.txt"):
        write_whole(path, "new" * 100)
    assert path.read_text(encoding="utf-8") == "old"
    with (
        full_disk(100),
        pytest.raises(OSError, match="File too large"),
        whole_folder(tmp_path / "b"),
    ):
        write_whole(tmp_path / "c", "new" * 100)
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


def test_the_next_writer_sweeps_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    half_file, half_folder = remains(folder / "a.txt"), remains(folder / "b")
    half_file.write_text("half", encoding="utf-8")
    (half_folder / "deep").mkdir(parents=True)
    write_whole(folder / "c.txt", "whole")
    assert [path.name for path in folder.iterdir()] == ["c.txt"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()

    def broken() -> None:
        with whole_folder(place) as fresh:
            (fresh / "a.txt").touch()
            assert not list(place.iterdir())
            raise ValueError("ha")

    with pytest.raises(ValueError, match="ha"):
        broken()
    assert not list(place.iterdir())
    with whole_folder(place) as fresh:
        (fresh / "a.txt").touch()
    assert [path.name for path in place.iterdir()] == ["a.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_warned_of(
    number: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def refused(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refused)
    with locked(tmp_path / ".lock", "busy"):
        assert "cannot be locked" in caplog.text
