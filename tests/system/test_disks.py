"""Other people's disks: a checkout that cannot be written, another user's rights."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from deepspeech2.extras.checks.preview import write
from tests.disks import full_disk
from tests.system import writers
from tests.system.conftest import Run


def test_predictions_go_anywhere(quick_command: Run, toy_run: Path, tmp_path: Path) -> None:
    result = quick_command(
        "inference.py",
        "-cn=transcribe",
        f"audio={toy_run.parent / 'data' / 'val' / 'val-000.wav'}",
        f"inferencer.from_pretrained={toy_run / 'model_best.pth'}",
        f"inferencer.save_path={tmp_path / 'any where'}",
        "dataloader.num_workers=0",
    )
    assert result.returncode == 0, result.stderr
    (path,) = (tmp_path / "any where").rglob("*.json")
    assert json.loads(path.read_text(encoding="utf-8"))["pred_text"] is not None
    result = quick_command(
        "inference.py",
        "-cn=transcribe",
        f"audio={toy_run.parent / 'data' / 'val' / 'val-000.wav'}",
        f"inferencer.from_pretrained={toy_run / 'model_best.pth'}",
        f"inferencer.save_path={path}",
    )
    assert result.returncode == 2
    assert "inferencer.save_path" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.fixture(scope="session")
def staged(toy_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return writers.stage(tmp_path_factory.mktemp("writers") / "stage", toy_run)


AT_ONCE = [
    "score", "download", "export pth", "export safetensors", "export onnx", "import", "train_lm",
    "segment", "train_tokenizer", "ablation", "learning_curve", "record_result", "render_results",
    "inference",
]  # fmt: skip
LATER = ["score", "export pth", "export onnx", "inference"]
SLOW = ["train", "preview", "robustness", "suspects", "calibrate", "tune_decoder"]
KILLS = int(os.environ.get("KILLS", "12"))
CASES = [pytest.param(name, 0, id=f"{name}, at once") for name in AT_ONCE]
CASES += [pytest.param(name, 700, id=f"{name}, later") for name in LATER]
CASES += [pytest.param(name, 700, id=name, marks=pytest.mark.slow) for name in SLOW]


@pytest.mark.parametrize(("name", "most"), CASES)
def test_a_full_disk_ends_in_one_sentence_and_leaves_what_was_there(
    name: str, most: int, quick_command: Run, toy_run: Path, staged: Path
) -> None:
    out = staged / "out"
    writers.fresh(staged, toy_run)
    before = writers.contents(out)
    words = writers.programs(staged, toy_run)[name]
    with full_disk(most):
        refused = quick_command(*words)
    assert refused.returncode == 2, refused.stderr
    assert "Traceback" not in refused.stderr
    (line,) = (line for line in refused.stderr.splitlines() if line.startswith("error: "))
    assert "File too large" in line or "disk" in line
    after = writers.contents(out)
    assert {key: after[key] for key in before} == before
    assert list(writers.halves(out, before)) == []
    assert writers.remains(out) == []
    again = quick_command(*words)
    assert again.returncode == 0, again.stderr
    assert len(writers.contents(out)) > len(before) or writers.contents(out) != before


KILLED = """
import os, runpy, signal, sys
place, left = sys.argv[1], int(sys.argv[2])
def hook(event, arguments):
    global left
    writes = event in ("os.rename", "os.remove", "os.mkdir", "os.chmod")
    if event == "open" and isinstance(arguments[2], int):
        writes = bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))
    if writes and not isinstance(arguments[0], int) and os.fsdecode(arguments[0]).startswith(place):
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
sys.argv = sys.argv[3:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("name", ["score", pytest.param("export pth", marks=pytest.mark.slow)])
def test_killed_before_any_of_its_writes(
    name: str, command: Run, toy_run: Path, staged: Path
) -> None:
    out = staged / "out"
    writers.fresh(staged, toy_run)
    words = writers.programs(staged, toy_run)[name]
    for number in range(1, 99):
        before = writers.contents(out)
        done = command("-c", KILLED, str(out), str(number), *words)
        assert list(writers.halves(out, before)) == []
        if done.returncode != -signal.SIGKILL:
            break
        assert {key: writers.contents(out).get(key) for key in before} == before
    assert number > 3
    assert done.returncode == 0 or "is there already" in done.stderr
    assert writers.remains(out) == []


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", [*SLOW, "export onnx", "inference"])
def test_killed_at_random_moments(name: str, command: Run, toy_run: Path, staged: Path) -> None:
    """By the clock and by its writes; what is there is whole, and the same command succeeds."""
    out = staged / "out"
    words = writers.programs(staged, toy_run)[name]
    draw = random.Random(name)
    writers.fresh(staged, toy_run)
    start = time.monotonic()
    assert command("-c", KILLED, str(out), "0", *words).returncode == 0
    seconds = time.monotonic() - start
    killed = []
    for number in range(KILLS):
        writers.fresh(staged, toy_run)
        before = writers.contents(out)
        by_clock = number % 2 == 0
        moment = draw.uniform(0.2, 1) * seconds if by_clock else draw.randint(1, 30)
        if by_clock:
            try:
                command(*words, timeout=moment)  # which kills it then
                killed.append("over before")
            except subprocess.TimeoutExpired:
                killed.append(f"{moment:.1f} s")
        else:
            done = command("-c", KILLED, str(out), str(moment), *words)
            assert done.returncode in (0, -signal.SIGKILL), done.stderr
            killed.append(f"write {moment}" if done.returncode else "over before")
        assert list(writers.halves(out, before)) == [], killed
        assert before.keys() <= writers.contents(out).keys(), killed
        done = command(*words)
        whole = "is there already and is kept" in done.stderr and name.startswith("export")
        assert done.returncode == 0 or whole, (killed, done.stderr)
        assert list(writers.halves(out, before)) == [], killed
        assert writers.remains(out) == [], killed
        assert len(writers.contents(out)) > len(before) or writers.contents(out) != before
    print(f"{name}, {seconds:.0f} s, killed after: {', '.join(killed)}")


def test_killed_before_the_new_preview_is_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "preview"
    write(place, "first", [], {}, {})
    (place / "mine.txt").write_text("mine")

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            write(place, "second", [], {}, {})
    (kept,) = tmp_path.iterdir()
    assert (kept / "index.html").read_text() == "first"
    assert (kept / "mine.txt").read_text() == "mine"
    write(place, "third", [], {}, {})
    assert (place / "index.html").read_text() == "third"
