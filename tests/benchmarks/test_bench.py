"""`make bench`: what runs, what is skipped, what is kept when something fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from benchmarks.bench import main
from benchmarks.records import PAGE, RESULTS, read
from benchmarks.suite import (
    BENCHMARKS,
    BY_THEMSELVES,
    CHECKPOINT,
    DEV_SPEECH,
    GPU,
    TEST_SPEECH,
    Benchmark,
    Given,
    Need,
)
from deepspeech2.paths import ROOT

RESULT = {
    "name": "its own",
    "ours": 6.0,
    "theirs": 3.0,
    "ratio": 2.0,
    "unit": "frames/s",
    "versions": {"python": "3.11"},
    "machine": {"processor": "AMD EPYC", "cpus": 2, "load": 0.1, "gpu": None},
}
ABSENT = Need("a unicorn", "breed one", lambda given: False)

Module = Callable[..., str]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Module:
    """Writes a program that a benchmark can run."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def write(name: str, code: str) -> str:
        (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
        return name

    return write


@pytest.fixture
def good(module: Module) -> str:
    """A program that prints a table of its arguments and a result."""
    code = f"""
import json, sys
print("a table")
print("of", len(sys.argv), "lines")
print(json.dumps({RESULT!r} | {{"lm": sys.argv[-1]}}))
"""
    return module("good", code)


def test_a_result_is_kept_with_its_circumstances(
    good: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lm = tmp_path / "3-gram.arpa"
    lm.touch()
    suite = {"mine": Benchmark(good, ("--lm", "LM"))}
    assert main(["--lm", str(lm)], suite=suite, folder=tmp_path) == 0
    (found,) = read(tmp_path / RESULTS)
    assert found["name"] == "mine"
    assert found["command"] == "python -m good --lm LM"
    assert found["lm"] == "3-gram.arpa"  # the program printed the whole path
    assert found["ratio"] == 2.0
    assert datetime.fromisoformat(found["date"]).utcoffset() is not None
    assert {"commit", "dirty"} <= found.keys()
    out = capsys.readouterr().out
    assert "[1/1, 00:00 so far] mine: python -m good --lm LM" in out
    assert "a table\nof 3 lines\nmine: ratio 2" in out
    for name in (RESULTS, PAGE):
        assert str(tmp_path) not in (tmp_path / name).read_text(encoding="utf-8")
    assert "## mine" in (tmp_path / PAGE).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("print('half'); raise SystemExit(3)", "ended with exit status 3"),
        ("print('no JSON')", "printed no result"),
        ("print('{\"ours\": 1}')", "printed no result"),
        ("", "printed no result"),
    ],
)
def test_a_failure_costs_only_itself(
    good: str,
    module: Module,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    code: str,
    complaint: str,
) -> None:
    suite = {"bad": Benchmark(module("bad", code)), "good": Benchmark(good)}
    assert main([], suite=suite, folder=tmp_path) == 1
    assert [found["name"] for found in read(tmp_path / RESULTS)] == ["good"]
    shown = capsys.readouterr()
    assert shown.err.startswith(f"bad failed, for it {complaint}")
    assert "[2/2" in shown.out
    assert "1 of 2 measured" in shown.out
    if "half" in code:
        assert "\nhalf\n" in shown.out
    assert "## good" in (tmp_path / PAGE).read_text(encoding="utf-8")


def test_what_needs_something_absent_is_skipped(
    good: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = {"rare": Benchmark(good, (), (ABSENT, CHECKPOINT)), "good": Benchmark(good)}
    assert main([], suite=suite, folder=tmp_path) == 0
    assert [found["name"] for found in read(tmp_path / RESULTS)] == ["good"]
    out = capsys.readouterr().out
    assert "rare is skipped, for it needs a unicorn (breed one); a trained model (train" in out
    assert "[1/1" in out


def test_one_that_stands_in_runs_where_the_other_cannot(good: str, tmp_path: Path) -> None:
    suite = {
        "whole": Benchmark(good, (), (CHECKPOINT,)),
        "part": Benchmark(good, stands_in_for="whole"),
    }
    checkpoint = tmp_path / "model.pth"
    checkpoint.touch()
    main([], suite=suite, folder=tmp_path)
    main(["--checkpoint", str(checkpoint)], suite=suite, folder=tmp_path)
    main(["--only", "part", "--checkpoint", str(checkpoint)], suite=suite, folder=tmp_path)
    assert [found["name"] for found in read(tmp_path / RESULTS)] == ["part", "whole", "part"]


def test_only_some(good: str, tmp_path: Path) -> None:
    suite = {name: Benchmark(good) for name in ("a", "b", "c")}
    assert main(["--only", "c", "a"], suite=suite, folder=tmp_path) == 0
    assert [found["name"] for found in read(tmp_path / RESULTS)] == ["a", "c"]


def test_render_runs_nothing(good: str, tmp_path: Path) -> None:
    (tmp_path / RESULTS).write_text(json.dumps(RESULT) + "\n", encoding="utf-8")
    assert main(["--render"], suite={"good": Benchmark(good)}, folder=tmp_path) == 0
    assert len(read(tmp_path / RESULTS)) == 1
    assert "## its own" in (tmp_path / PAGE).read_text(encoding="utf-8")


def test_broken_results_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / RESULTS).write_text("oops\n", encoding="utf-8")
    assert main(["--render"], folder=tmp_path) == 1
    assert "results.jsonl, line 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--only", "nothing"], "'nothing'"),
        (
            ["--checkpoint", "absent.pth"],
            "--checkpoint must be a file, but there is none at absent",
        ),
        (["--lm", "absent.arpa"], "--lm must be a file, but there is none at absent.arpa"),
        (["--data", "absent"], "--data must be a folder that contains LibriSpeech/, but is absent"),
    ],
)
def test_wrong_arguments_end_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments, folder=tmp_path)
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / PAGE).exists()


class TestSuite:
    """The real list."""

    def test_modules_exist_and_commands_hold_no_path(self, tmp_path: Path) -> None:
        given = Given(tmp_path, tmp_path / "model.pth", tmp_path / "lm.arpa")
        for benchmark in BENCHMARKS.values():
            assert (ROOT / f"{benchmark.module.replace('.', '/')}.py").is_file()
            assert str(tmp_path) not in " ".join(benchmark.shown(given))
            assert not {"CHECKPOINT", "LM", "SPEECH_DATA"} & set(benchmark.arguments(given))
            assert benchmark.stands_in_for in {None, *BENCHMARKS}

    def test_every_program_is_in_it(self) -> None:
        programs = {
            f"benchmarks.{file.stem}"
            for file in (ROOT / "benchmarks").glob("*.py")
            if "report(" in file.read_text(encoding="utf-8") and file.stem != "report"
        }
        suite = {benchmark.module for benchmark in BENCHMARKS.values()}
        assert programs == suite | set(BY_THEMSELVES)
        assert not suite & set(BY_THEMSELVES)

    def test_parts_that_are_there_are_measured(self, tmp_path: Path) -> None:
        given = Given(tmp_path)
        assert not TEST_SPEECH.is_met(given)
        (tmp_path / "LibriSpeech/test-clean").mkdir(parents=True)
        assert TEST_SPEECH.is_met(given)
        assert not DEV_SPEECH.is_met(given)
        assert BENCHMARKS["data_path"].arguments(given) == [
            *("-m", "benchmarks.data_path", "--data", str(tmp_path), "--part", "test-clean")
        ]

    def test_a_gpu_is_asked_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        given = Given(Path())
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)
        assert BENCHMARKS["train_step_cuda"].missing(given) == [GPU]
        assert BENCHMARKS["train_step"].missing(given) == []
