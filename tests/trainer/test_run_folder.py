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
from deepspeech2.trainer import RunFolder, find_checkpoint, run_path
from tests.disks import remains
from tests.test_files import NAMES
from tests.toy import ROOT

LAST, EPOCH_1 = "checkpoint-last.pth", "checkpoint-epoch1.pth"


def save(path: Path, step: int, **more: object) -> None:
    checkpoint.save({"recipe": {}, "state_dict": {}, "step": step, "training": {}, **more}, path)


def test_an_earlier_run_is_refused_resumed_or_moved_aside(tmp_path: Path) -> None:
    run = tmp_path / "run"
    last = run / LAST
    RunFolder.open(run, resume=False, override=False)
    last.write_bytes(b"weeks of work")
    with pytest.raises(ConfigError, match="contains a run already"):
        RunFolder.open(run, resume=False, override=False)
    RunFolder.open(run, resume=True, override=False)
    assert last.exists()
    for number in (1, 2):
        RunFolder.open(run, resume=False, override=True)
        assert not last.exists()
        moved = tmp_path / f"run.old-{number}" / LAST
        assert moved.read_bytes() == b"weeks of work"
        last.write_bytes(b"weeks of work")


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\\b"])
def test_run_name_stays_below_save_dir(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"writer\.run_name must be a plain folder name"):
        run_path(str(tmp_path), name)


def test_auto_takes_the_most_steps_and_passes_over_broken_files(tmp_path: Path) -> None:
    last = tmp_path / LAST
    assert find_checkpoint(tmp_path, "auto") is None
    save(tmp_path / EPOCH_1, 10)
    save(last, 15)
    (tmp_path / "checkpoint-epoch2.pth").write_bytes(last.read_bytes()[:100])
    assert find_checkpoint(tmp_path, "auto") == last
    with pytest.raises(CheckpointError, match=r"resume_from=other.pth is neither"):
        find_checkpoint(tmp_path, "other.pth")


def test_a_run_of_broken_checkpoints_is_not_begun_anew(tmp_path: Path) -> None:
    (tmp_path / LAST).write_bytes(b"half")
    with pytest.raises(CheckpointError, match=r"none of the 1 checkpoints in .* can be read"):
        find_checkpoint(tmp_path, "auto")


def test_going_back_needs_a_run_of_its_own(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    save(run / EPOCH_1, 10)
    assert find_checkpoint(run, EPOCH_1) == run / EPOCH_1
    save(run / LAST, 15)
    assert find_checkpoint(run, LAST) == run / LAST
    for name in (EPOCH_1, str(run / EPOCH_1)):
        with pytest.raises(CheckpointError, match=r"last.pth at step 15 would be overwritten"):
            find_checkpoint(run, name)
    assert find_checkpoint(tmp_path / "other", str(run / EPOCH_1)) == run / EPOCH_1


def test_another_run_is_not_overwritten_by_a_branch(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder, step in ((here, 100), (there, 10)):
        folder.mkdir()
        save(folder / LAST, step)
    with pytest.raises(CheckpointError, match=r"here contains another run than that of .*there"):
        find_checkpoint(here, str(there / LAST))
    assert find_checkpoint(tmp_path / "new", str(there / LAST)) == there / LAST


def test_a_branch_that_was_killed_before_its_first_checkpoint_begins_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "old").mkdir()
    old = tmp_path / "old" / LAST
    save(old, 10)
    for _ in range(2):
        branch = RunFolder.open(tmp_path / "new", resume=True, override=False)
        assert find_checkpoint(branch.path, str(old)) == old
        branch.metrics.write_text('{"step": 11}\n')
        branch.release()
    with caplog.at_level("INFO"):
        assert find_checkpoint(branch.path, "auto") is None
    assert f"No checkpoint in {branch.path} to resume from" in caplog.text


def test_two_processes_do_not_train_in_one_folder(tmp_path: Path) -> None:
    first = RunFolder.open(tmp_path / "run", resume=True, override=False)
    save(first.path / LAST, 3)
    half_written = remains(first.path / LAST)
    half_written.write_bytes(b"half")
    program = (
        "import sys; from pathlib import Path; from deepspeech2.trainer import RunFolder as R;"
        "R.open(Path(sys.argv[1]), resume=bool(sys.argv[2]), override=not sys.argv[2])"
    )

    def another(resume: str) -> str:
        words = [sys.executable, "-c", program, str(first.path), resume]
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
        RunFolder.open(tmp_path / "file" / "run", resume=False, override=False)


def test_a_failed_save_leaves_the_earlier_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = tmp_path / LAST
    save(last, 3)

    def full(content: object, file: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        save(last, 4)
    assert checkpoint.load(last)["step"] == 3
    assert [file.name for file in tmp_path.iterdir()] == [LAST]


@settings(max_examples=200)
@given(name=NAMES)
def test_no_run_name_leads_out_of_save_dir(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("names")
    try:
        path = run_path(str(place / "saved"), name)
    except ConfigError:
        assert not list(place.iterdir())
    else:
        folder = RunFolder.open(path, resume=False, override=True)
        folder.release()
        assert folder.path == place / "saved" / name
        assert list(place.rglob("*/")) == [place / "saved", folder.path]
