"""Whole files, locks, and names from outside."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.errors import ConfigError
from src.files import lock, safe_name, sweep, whole_file, write_whole

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


@pytest.mark.parametrize("name", ["CON", "nul.txt", "com1", "a:b", "a ", "x" * 300, "", "a/b"])
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
