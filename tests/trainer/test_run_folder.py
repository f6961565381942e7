"""Nothing in a run's folder is overwritten unasked, and the newest checkpoint is found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings

from deepspeech2 import checkpoint
from deepspeech2.errors import CheckpointError, ConfigError
from deepspeech2.trainer.run_folder import RunFolder
from tests.disks import remains
from tests.test_files import NAMES
from tests.toy import ROOT


def save(path: Path, step: int, **more: object) -> None:
    checkpoint.save({"recipe": {}, "state_dict": {}, "step": step, "training": {}, **more}, path)


def test_an_earlier_run_is_refused_resumed_or_moved_aside(tmp_path: Path) -> None:
    folder = RunFolder.open(str(tmp_path), "run", resume=None, override=False)
    folder.last.write_bytes(b"weeks of work")
    with pytest.raises(ConfigError, match="holds a run already"):
        RunFolder.open(str(tmp_path), "run", resume=None, override=False)
    RunFolder.open(str(tmp_path), "run", resume="auto", override=False)
    assert folder.last.exists()
    for number in (1, 2):
        RunFolder.open(str(tmp_path), "run", resume=None, override=True)
        assert not folder.last.exists()
        moved = tmp_path / f"run.old-{number}" / folder.last.name
        assert moved.read_bytes() == b"weeks of work"
        folder.last.write_bytes(b"weeks of work")


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\\b"])
def test_run_name_stays_below_save_dir(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"writer\.run_name must be a plain folder name"):
        RunFolder.open(str(tmp_path), name, resume=None, override=False)


def test_auto_takes_the_most_steps_and_passes_over_broken_files(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.find("auto") is None
    save(folder.epoch(1), 10)
    save(folder.last, 15)
    folder.epoch(2).write_bytes(folder.last.read_bytes()[:100])
    assert folder.find("auto") == folder.last
    with pytest.raises(CheckpointError, match=r"resume_from=other.pth is neither"):
        folder.find("other.pth")


def test_a_run_of_broken_checkpoints_is_not_begun_anew(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.last.write_bytes(b"half")
    with pytest.raises(CheckpointError, match=r"none of the 1 checkpoints in .* can be read"):
        folder.find("auto")


def test_going_back_needs_a_run_of_its_own(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    save(folder.epoch(1), 10)
    assert folder.find("checkpoint-epoch1.pth") == folder.epoch(1)
    save(folder.last, 15)
    assert folder.find("checkpoint-last.pth") == folder.last
    for name in ("checkpoint-epoch1.pth", str(folder.epoch(1))):
        with pytest.raises(CheckpointError, match=r"last.pth at step 15 would be overwritten"):
            folder.find(name)
    assert RunFolder(tmp_path / "other").find(str(folder.epoch(1))) == folder.epoch(1)


def test_another_run_is_not_overwritten_by_a_branch(tmp_path: Path) -> None:
    here, there = RunFolder(tmp_path / "here"), RunFolder(tmp_path / "there")
    for folder, step in ((here, 100), (there, 10)):
        folder.path.mkdir()
        save(folder.last, step)
    with pytest.raises(CheckpointError, match=r"here holds another run than that of .*there"):
        here.find(str(there.last))
    assert RunFolder(tmp_path / "new").find(str(there.last)) == there.last


def test_a_branch_that_was_killed_before_its_first_checkpoint_begins_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "old").mkdir()
    old = RunFolder(tmp_path / "old")
    save(old.last, 10)
    for _ in range(2):
        branch = RunFolder.open(str(tmp_path), "new", resume=str(old.last), override=False)
        assert branch.find(str(old.last)) == old.last
        (branch.path / "metrics.jsonl").write_text('{"step": 11}\n')
        branch.release()
    with caplog.at_level("INFO"):
        assert branch.find("auto") is None
    assert f"No checkpoint in {branch.path} to resume from" in caplog.text


def test_two_processes_do_not_train_in_one_folder(tmp_path: Path) -> None:
    first = RunFolder.open(str(tmp_path), "run", resume="auto", override=False)
    save(first.last, 3)
    half_written = remains(first.last)
    half_written.write_bytes(b"half")
    program = (
        "import sys; from deepspeech2.trainer.run_folder import RunFolder as R;"
        "R.open(sys.argv[1], 'run', resume=sys.argv[2] or None, override=not sys.argv[2])"
    )

    def another(resume: str) -> str:
        words = [sys.executable, "-c", program, str(tmp_path), resume]
        return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False).stderr

    for resume in ("auto", ""):
        assert "ConfigError: another process trains in" in another(resume)
    assert half_written.exists()
    first.release()
    assert another("auto") == ""
    assert not half_written.exists()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"choose another trainer\.save_dir"):
        RunFolder.open(str(tmp_path / "file"), "run", resume=None, override=False)


def test_a_failed_save_leaves_the_earlier_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path)
    save(folder.last, 3)

    def full(content: object, file: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        save(folder.last, 4)
    assert checkpoint.load(folder.last)["step"] == 3
    assert [file.name for file in tmp_path.iterdir()] == [folder.last.name]


@settings(max_examples=200, deadline=None)
@given(name=NAMES)
def test_no_run_name_leads_out_of_save_dir(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("names")
    try:
        folder = RunFolder.open(str(place / "saved"), name, resume=None, override=True)
    except ConfigError:
        assert not list(place.iterdir())
    else:
        folder.release()
        assert folder.path == place / "saved" / name
        assert list(place.rglob("*/")) == [place / "saved", folder.path]
