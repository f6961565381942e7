"""What each change of a recipe brings: python tools/ablation.py saved/BASE saved/RUN ..."""

import argparse
import sys
from pathlib import Path

from results.ablation import read_run, read_runs, rows, write_runs
from results.ablation_page import draw, page

from deepspeech2.errors import run_command
from deepspeech2.files import locked, write_whole
from deepspeech2.paths import typed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("base", metavar="BASE", help="folder of the run that the others are compared with")
    add("runs", nargs="*", metavar="RUN", help="folders of finished runs, those of seeds too")
    add("--about", help="a sentence that says what the base is (default: as the page has it)")
    add("--results", help="JSON lines of runs (default: ablations.jsonl beside the base's folder)")
    options = parser.parse_args()
    base = typed(options.base)
    path = typed(options.results) if options.results else base.parent / "ablations.jsonl"
    with locked(path.with_name(f".{path.name}.lock")):
        _add(options, base, path)


def _add(options: argparse.Namespace, base: Path, path: Path) -> None:
    new = [read_run(typed(folder), base) for folder in (options.base, *options.runs)]
    names = {run.name for run in new}
    runs = [run for run in read_runs(path) if run.name not in names] + new
    found = rows(runs)
    about = options.about or _about(path.with_suffix(".txt"))
    write_runs(path, sorted(runs, key=lambda run: run.name))
    write_whole(path.with_suffix(".txt"), f"{about}\n")
    write_whole(path.with_suffix(".md"), page(found, about, f"{path.stem}.png"))
    draw(found, path.with_suffix(".png"))
    print(page(found, about, f"{path.stem}.png"))


def _about(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip() if path.is_file() else "The base."


if __name__ == "__main__":
    sys.exit(run_command(main))
