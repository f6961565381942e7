"""Sweeps as people start them: each job in its folder, killed and started again, with Optuna."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deepspeech2.commands.train import train
from tests.system.conftest import ENVIRONMENT, Run
from tests.toy import ROOT, config, overrides, write_corpus

SMALL = (
    "transforms=none",
    "model.dropout=0",
    "model.rnn_size=8",
    "trainer.n_epochs=2",
    "trainer.epoch_len=2",
    "trainer.save_every=1",
    "trainer.monitor=min val_loss",
    "dataloader.num_workers=0",
)
RATES = "lr_scheduler.max_lr"
SEEDS = "trainer.seed"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("toy"), {"train": 12, "val": 2})


def words(data: Path, save_dir: Path, *more: str) -> list[str]:
    """The command line of a small sweep; a later value of a key replaces an earlier one."""
    given = dict(word.partition("=")[::2] for word in overrides(data, save_dir, *SMALL, *more))
    return ["-m", "-cn=an4", *(f"{key}={value}" for key, value in given.items())]


def record(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "sweep.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def run_until(event: str, call: int, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Train, and let ``event`` happen at a step of the optimiser."""
    place = "deepspeech2.trainer.learner.Learner.step"
    before = ["tests/system/until.py", place, str(call), event]
    return subprocess.run(
        [sys.executable, *before, "train.py", *arguments],
        cwd=ROOT,
        env={**os.environ, **ENVIRONMENT, "HAPPENED": os.devnull},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        start_new_session=True,
    )


def table(folder: Path, printed: str) -> list[dict[str, str]]:
    """The rows of the table, which is printed as it is written."""
    content = (folder / "sweep.md").read_text("utf-8")
    assert content in printed
    header, _, *rows = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in content.splitlines()
    )
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_two_rates_and_two_seeds(quick_command: Run, data: Path, tmp_path: Path) -> None:
    arguments = words(data, tmp_path, f"{RATES}=1e-3,3e-2", f"{SEEDS}=1,2")
    done = quick_command("train.py", *arguments)
    assert done.returncode == 0, done.stderr
    names = [f"{RATES}={rate},{SEEDS}={seed}" for rate in ("0.001", "0.03") for seed in (1, 2)]
    sweep = tmp_path / "toy"
    assert sorted(path.name for path in sweep.iterdir() if path.is_dir()) == names
    jobs = record(sweep)
    assert [job["name"] for job in jobs] == names
    assert [job["settings"] for job in jobs[1:2]] == [{RATES: "0.001", SEEDS: "2"}]
    assert len({job["value"] for job in jobs}) == 4
    assert "4 of 4 jobs finished" in done.stdout
    rows = table(sweep, done.stdout)
    assert [row[RATES] for row in rows] == ["0.001", "0.03"]
    assert [row["jobs"] for row in rows] == ["2", "2"]
    for row, own in zip(rows, (jobs[:2], jobs[2:]), strict=True):
        mean = statistics.fmean(job["value"] for job in own)
        assert row["val_loss"].startswith(f"{mean:.4f} ± ")
        assert "val/WER_(Argmax), %" in row
    assert rows[0]["difference to the first"] == ""
    assert "[" in rows[1]["difference to the first"]

    # a job is what the same training is alone
    one = words(data, tmp_path / "alone", f"{RATES}=0.03", f"{SEEDS}=2")[2:]
    assert train(config("an4", *one)) == 0
    alone = json.loads((tmp_path / "alone/toy/run.json").read_text("utf-8"))
    assert alone["best"] == jobs[3]["value"]
    assert alone["finished"]

    # started again with another number of threads, nothing is trained
    before = {path: path.stat().st_mtime_ns for path in sweep.rglob("*.pth")}
    again = quick_command("train.py", *arguments, "trainer.log_step=1")
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("is finished already") == 4
    assert table(sweep, again.stdout) == rows
    assert before == {path: path.stat().st_mtime_ns for path in sweep.rglob("*.pth")}
    assert [job["value"] for job in record(sweep)[4:]] == [job["value"] for job in jobs]

    # what was learnt with other options is not taken for finished
    other = quick_command("train.py", *arguments, "optimizer.weight_decay=0.5")
    assert other.returncode == 2
    assert other.stdout.count("was trained with optimizer.weight_decay=0.01 where") == 8


def test_a_job_that_fails_does_not_end_the_others(
    quick_command: Run, data: Path, tmp_path: Path
) -> None:
    done = quick_command("train.py", *words(data, tmp_path, "trainer.n_epochs=-1,1,nil"))
    assert done.returncode == 2
    assert [job["status"] for job in record(tmp_path / "toy")] == [2, 0, 2]
    assert "job 0 failed: trainer.n_epochs=-1: trainer.n_epochs" in done.stdout
    assert "1 of 3 jobs finished" in done.stdout
    counts = [row["jobs"] for row in table(tmp_path / "toy", done.stdout)]
    assert counts == ["1 failed", "1", "1 failed"]
    assert "Traceback" not in done.stdout + done.stderr


def test_killed_and_started_again_only_the_rest_runs(data: Path, tmp_path: Path) -> None:
    arguments = words(data, tmp_path, f"{RATES}=1e-3,3e-2", f"{SEEDS}=1,2")
    killed = run_until("SIGKILL", 7, arguments)  # the third step of the second job
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    again = run_until("success", 1, arguments)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("is finished already") == 1
    assert again.stdout.count("Resumed from") == 1
    jobs = record(tmp_path / "toy")
    places = ((0.001, 1), (0.001, 1), (0.001, 2), (0.03, 1), (0.03, 2))
    assert [job["name"] for job in jobs] == [f"{RATES}={rate},{SEEDS}={n}" for rate, n in places]
    assert [row["jobs"] for row in table(tmp_path / "toy", again.stdout)] == ["2", "2"]

    whole = tmp_path / "whole"
    one = words(data, whole, f"{RATES}=0.001", f"{SEEDS}=2")[2:]
    assert train(config("an4", *one)) == 0
    assert json.loads((whole / "toy/run.json").read_text("utf-8"))["best"] == jobs[2]["value"]


@pytest.mark.slow
def test_the_demo_of_the_page_about_sweeps(tmp_path: Path) -> None:
    """Its command with few steps and the default readers, killed once and started again."""
    few = ("trainer.n_epochs=1", "trainer.epoch_len=2", "decoder=greedy", "datasets.val.limit=4")
    places = (f"trainer.save_dir={tmp_path}", f"data_dir={tmp_path / 'spoken'}")
    varied = (f"{RATES}=4e-3,1e-2", f"{SEEDS}=1,2")
    arguments = ["-m", "-cn=demo", "model=tiny", *varied, *few, *places]
    killed = run_until("SIGKILL", 4, arguments)  # the second step of the second job
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    again = run_until("success", 1, arguments)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("is finished already") == 1
    assert "4 of 4 jobs finished" in again.stdout
    rows = table(tmp_path / "demo", again.stdout)
    assert [(row[RATES], row["jobs"]) for row in rows] == [("0.004", "2"), ("0.01", "2")]
    assert "[" in rows[1]["difference to the first"]


def test_a_signal_ends_the_sweep(data: Path, tmp_path: Path) -> None:
    stopped = run_until("SIGINT", 2, words(data, tmp_path, f"{SEEDS}=1,2"))
    assert stopped.returncode == 128 + signal.SIGINT, stopped.stderr
    assert "interrupted by SIGINT" in stopped.stderr
    assert "job 1" not in stopped.stdout
    assert (tmp_path / "toy" / f"{SEEDS}=1" / "checkpoint-last.pth").exists()


def test_jobs_beside_each_other(quick_command: Run, data: Path, tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    launcher = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    # joblib's processes start readers of their own
    readers = "dataloader.num_workers=1"
    arguments = words(data, tmp_path, "trainer.n_epochs=1", readers, f"{SEEDS}=1,2,x", *launcher)
    done = quick_command("train.py", *arguments)
    assert done.returncode == 2, done.stderr
    jobs = {job["name"]: job["status"] for job in record(tmp_path / "toy")}
    assert jobs == {f"{SEEDS}=1": 0, f"{SEEDS}=2": 0, f"{SEEDS}=x": 2}
    assert "2 of 3 jobs finished" in done.stdout


def test_optuna_continues_its_study(data: Path, tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna")
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    study = ("hydra/sweeper=optuna", "hydra.sweeper.n_trials=4", "trainer.n_epochs=1")
    ranges = (f"{RATES}=tag(log,interval(1e-4,1e-2))", "optimizer.weight_decay=0.01,0.1")
    arguments = words(data, tmp_path, *study, *ranges)
    killed = run_until("SIGKILL", 4, arguments)  # the second step of the second trial
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    again = run_until("success", 1, arguments)
    assert again.returncode == 0, again.stderr
    assert "best of 4 trials" in again.stdout
    assert again.stdout.count("Resumed from") == 1
    rows = table(tmp_path / "toy", again.stdout)
    assert [row["jobs"] for row in rows] == ["1"] * 4
    assert sum("*" in row["val_loss"] for row in rows) == 1
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "toy" / "study.log")))
    trials = optuna.load_study(study_name="toy", storage=storage).trials
    values = [trial.value for trial in trials if trial.state.name == "COMPLETE"]
    assert sorted(values) == sorted(job["value"] for job in record(tmp_path / "toy"))
    assert [trial.state.name for trial in trials].count("FAIL") == 1
    assert trials[1].params == trials[2].params
    done = run_until("success", 1, arguments)
    assert done.returncode == 0
    assert "job 0" not in done.stdout
