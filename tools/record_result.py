"""Record what a checkpoint recognised: python tools/record_result.py CHECKPOINT FOLDER ..."""

import argparse
import sys
from pathlib import Path

from results.page import percent
from results.recording import Given, keep_curves, record
from results.rows import Machine, append
from results.scoring import score

from benchmarks.report import machine
from deepspeech2.errors import ConfigError, run_command
from deepspeech2.paths import resolve, typed


def trained_on(options: argparse.Namespace) -> Machine | None:
    """The machine of the command line, this one, or None for that of the run's log."""
    if options.trained_here and options.processor is not None:
        raise ConfigError("give either --trained-here or --processor and --cpus, with --gpu if any")
    if not options.trained_here and options.processor is None:
        return None
    if options.trained_here:
        here = machine()
        return Machine(str(here["processor"]), int(str(here["cpus"])), here["gpu"])  # type: ignore[arg-type]
    if options.cpus is None:
        raise ConfigError("--processor needs --cpus, the number of cores")
    return Machine(options.processor, options.cpus, options.gpu)


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add(
        "checkpoint",
        type=typed,
        metavar="CHECKPOINT",
        help="model_best.pth, in the folder of its run",
    )
    add("folders", type=typed, nargs="+", metavar="FOLDER", help="that inference.py wrote")
    add("--command", required=True, help="that trained: 'python train.py -cn=... KEY=VALUE'")
    add("--evaluation", required=True, help="that made the transcripts: 'python inference.py ...'")
    add("--trained-here", action="store_true", help="the training ran on this machine")
    add("--processor", help="that the training ran on (default: from info.log)")
    add("--cpus", type=int, help="its cores")
    add("--gpu", help="that the training ran on, if any")
    add("--test-set", help="what FOLDER holds (default: its name)")
    add("--recipe", help="(default: the run's name)")
    add("--corpus", help="of the training (default: from the run's config)")
    add("--utterances", type=int, help="of the training (default: from info.log)")
    add("--hours", type=float, help="of training speech (default: from info.log)")
    add("--took-hours", type=float, help="of training (default: from info.log)")
    add("--lm-perplexity", type=float, dest="perplexity", help="of the language model")
    results = Path("results/results.jsonl")
    add("--results", type=typed, default=results, help="the file (default: %(default)s)")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if options.test_set and len(options.folders) > 1:
        raise ConfigError("--test-set names one folder: record the others by their own calls")
    names = ("command", "evaluation", "recipe", "corpus", "utterances", "hours")
    names += ("took_hours", "perplexity")
    given = Given(machine=trained_on(options), **{name: getattr(options, name) for name in names})
    rows = []
    for folder in options.folders:
        test_set = options.test_set or folder.resolve().name
        scored = score(folder, test_set)
        for warning in scored.warnings:
            print(warning, file=sys.stderr)
        rows.append(record(options.checkpoint, test_set, scored, given))
    keep_curves(options.checkpoint, resolve(options.results).parent)
    append(resolve(options.results), *rows)
    for row in rows:
        print(f"{row.recipe}, {row.test_set}: WER {percent(row.wer)} %, CER {percent(row.cer)} %")


if __name__ == "__main__":
    sys.exit(run_command(main))
