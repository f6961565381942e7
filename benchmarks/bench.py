"""Run the benchmarks one after the other and render what they found.

Each result is added to benchmarks/results.jsonl as soon as it is there, so that nothing is lost
when a later benchmark fails or the run is stopped. See benchmarks/suite.py for the list.

python -m benchmarks.bench [--only NAME ...] [--checkpoint PATH] [--data PATH] [--lm ARPA]
                           [--render]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tqdm import tqdm

from benchmarks import render
from benchmarks.records import FOLDER, PAGE, PLOTS, RESULTS, Record, append, parse
from benchmarks.suite import BENCHMARKS, Benchmark, Given
from deepspeech2.paths import ROOT

clock = tqdm.format_interval


class BenchmarkError(Exception):
    """A benchmark ended without a result."""


def main(
    argv: Sequence[str] | None = None,
    *,
    suite: Mapping[str, Benchmark] = BENCHMARKS,
    folder: Path = FOLDER,
) -> int:
    """Run, render, and return the exit status.

    Args:
        argv: the command line, without the program.
        suite: the benchmarks by name.
        folder: of results, page and plots.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options = arguments(parser, argv, suite)
    failed: list[str] = []
    status = 0
    if not options.render:
        given = Given(options.data, options.checkpoint, options.lm)
        names = [name for name in suite if name in (options.only or suite)]
        try:
            failed = run_all({name: suite[name] for name in names}, given, folder / RESULTS)
        except KeyboardInterrupt:
            print(f"\nStopped; what was measured before is in {RESULTS}.")
            status = 130
    try:
        print(f"Rendered {_relative(render.write(folder))}.")
    except ValueError as error:
        failed.append(str(error))
    for sentence in failed:
        print(sentence, file=sys.stderr)
    return status or int(bool(failed))


def arguments(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None, suite: Iterable[str]
) -> argparse.Namespace:
    """The command line; a path that is given but absent ends the program."""
    default = ROOT / os.environ.get("SPEECH_DATA", "../shared/data")
    parser.add_argument("--only", nargs="+", choices=list(suite), metavar="NAME", help="run these")
    parser.add_argument("--checkpoint", type=Path, help="of a trained model")
    parser.add_argument("--data", type=Path, default=default, help="folder with LibriSpeech/")
    parser.add_argument("--lm", type=Path, help="ARPA file")
    parser.add_argument("--render", action="store_true", help="run nothing, render what there is")
    found = parser.parse_args(argv)
    for name in ("checkpoint", "lm"):
        path: Path | None = getattr(found, name)
        if path is not None and not path.is_file():
            parser.error(f"--{name} must be a file, but there is none at {path}")
    if found.data != default and not (found.data / "LibriSpeech").is_dir():
        parser.error(f"--data must be a folder that contains LibriSpeech/, but is {found.data}")
    for name in ("checkpoint", "lm", "data"):
        path = getattr(found, name)
        setattr(found, name, path and path.absolute())
    return found


def run_all(suite: Mapping[str, Benchmark], given: Given, results: Path) -> list[str]:
    """Run what can run and add it to ``results``; return a sentence for each that failed."""
    ready = plan(suite, given)
    source = commit()
    busy_machine()
    failed, begun = [], time.monotonic()
    for number, (name, benchmark) in enumerate(ready.items(), 1):
        command = " ".join(benchmark.shown(given))
        so_far = clock(time.monotonic() - begun)
        print(f"\n[{number}/{len(ready)}, {so_far} so far] {name}: {command}", flush=True)
        date, start = datetime.now(UTC), time.monotonic()
        try:
            printed = run(benchmark.arguments(given))
        except BenchmarkError as error:
            failed.append(f"{name} failed, for it {error}: see its output above, or run {command}")
            print(failed[-1], flush=True)
            continue
        seconds = round(time.monotonic() - start)
        stamp = date.isoformat(timespec="seconds").replace("+00:00", "Z")
        head: Record = {"name": name, "date": stamp, "command": command, **source}
        append(results, {**head, "took_seconds": seconds, **printed, "name": name})
        print(f"{name}: ratio {printed['ratio']:g}, against {printed.get('against', 'theirs')}")
    spent = clock(time.monotonic() - begun)
    print(f"\n{len(ready) - len(failed)} of {len(ready)} measured in {spent}.", flush=True)
    return failed


def plan(suite: Mapping[str, Benchmark], given: Given) -> dict[str, Benchmark]:
    """Those that can run; says of each other what it needs."""
    ready: dict[str, Benchmark] = {}
    for name, benchmark in suite.items():
        needs = [f"{need.what} ({need.remedy})" for need in benchmark.missing(given)]
        if needs:
            print(f"{name} is skipped, for it needs {'; '.join(needs)}.")
        elif benchmark.stands_in_for not in ready:
            ready[name] = benchmark
    return ready


def busy_machine() -> None:
    """Warn where other programs would be measured too."""
    load, cpus = os.getloadavg()[0], os.cpu_count() or 1
    if load > 0.3 * cpus:
        print(
            f"The load is {load:.1f} on {cpus} CPUs already: stop other programs, or figures err."
        )


def run(arguments: Sequence[str]) -> Record:
    """Run ``python`` with ``arguments``, show what it prints, and return its last line.

    Raises:
        BenchmarkError: it failed, or its last line is no result.
    """
    command, last = [sys.executable, *arguments], ""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(last, end="", flush=True)
            last = line
    if process.returncode:
        print(last, end="", flush=True)
        raise BenchmarkError(f"ended with exit status {process.returncode}")
    try:
        return parse(last)
    except ValueError as error:
        print(last, end="", flush=True)
        raise BenchmarkError(f"printed no result ({error})") from None


def commit() -> dict[str, object]:
    """The commit that is measured, and whether files differ from it; nulls outside of git.

    What a run itself writes counts as no difference.
    """
    if not (ROOT / ".git").exists():
        return {"commit": None, "dirty": None}
    written = [f":!{FOLDER.name}/{name}" for name in (RESULTS, PAGE, PLOTS)]
    try:
        found = _git("rev-parse", "--short", "HEAD")
        changes = _git("status", "--porcelain", "--", ".", *written)
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}
    return {"commit": found, "dirty": bool(changes)}


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _relative(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


if __name__ == "__main__":
    sys.exit(main())
