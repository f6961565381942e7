"""Record results and show them: python tools/results.py record|render|curve|ablation ..."""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

from leaderboard import ablation, curve, page, rows

from deepspeech2.errors import ConfigError, run_command
from deepspeech2.files import locked, write_whole
from deepspeech2.hardware import cpus, processor
from deepspeech2.paths import resolve, typed

_DEFAULT = "(default: %(default)s)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="record|render|curve|ablation")
    for add in (_add_record, _add_render, _add_curve, _add_ablation):
        add(commands)
    options = parser.parse_args()
    options.run(options)


def _add_record(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("record", help="add what a checkpoint recognised as a row")
    parser.set_defaults(run=record)
    add = parser.add_argument
    checkpoint = "model_best.pth, in the folder of its run"
    add("checkpoint", type=typed, metavar="CHECKPOINT", help=checkpoint)
    add("folders", type=typed, nargs="+", metavar="FOLDER", help="that inference.py wrote")
    add("--command", required=True, help="that trained: 'python train.py -cn=... KEY=VALUE'")
    add("--evaluation", required=True, help="that made the transcripts: 'python inference.py ...'")
    add("--trained-here", action="store_true", help="the training ran on this machine")
    add("--processor", help="that the training ran on (default: from run.json)")
    add("--cpus", type=int, help="its cores")
    add("--gpu", help="that the training ran on, if any")
    add("--test-set", help="what FOLDER contains (default: its name)")
    add("--recipe", help="(default: the run's name)")
    add("--corpus", help="of the training (default: from the run's config)")
    add("--utterances", type=int, help="of the training (default: from run.json)")
    add("--hours", type=float, help="of training speech (default: from run.json)")
    add("--took-hours", type=float, help="of training (default: from run.json)")
    add("--lm-perplexity", type=float, dest="perplexity", help="of the language model")
    _add_results(parser)


def record(options: argparse.Namespace) -> None:
    """Add a row for each folder of transcripts, all or none."""
    from leaderboard import recording  # imports torch, which the others do not need
    from leaderboard.scoring import score

    if options.test_set and len(options.folders) > 1:
        raise ConfigError("--test-set names one folder: record the others by their own calls")
    names = ["command", "evaluation", "recipe", "corpus", "utterances", "hours"]
    names += ["took_hours", "perplexity"]
    given = {name: getattr(options, name) for name in names} | {"machine": _machine(options)}
    given = {name: value for name, value in given.items() if value is not None}
    recorded = []
    for folder in options.folders:
        test_set = options.test_set or folder.resolve().name
        scored = score(folder, test_set)
        for warning in scored.warnings:
            print(warning, file=sys.stderr)
        recorded.append(recording.record(options.checkpoint, test_set, scored, **given))
    results = resolve(options.results)
    recording.save_curves(options.checkpoint, results.parent)
    rows.append(results, *recorded)
    for row in recorded:
        wer, cer = page.percent(row.wer), page.percent(row.cer)
        print(f"{row.recipe}, {row.test_set}: WER {wer} %, CER {cer} %")


def _machine(options: argparse.Namespace) -> rows.Machine | None:
    """The machine of the command line, this one, or None for that of the run's summary."""
    if options.trained_here and options.processor is not None:
        raise ConfigError("give either --trained-here or --processor and --cpus, with --gpu if any")
    if options.trained_here:
        import torch

        gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
        return rows.Machine(processor(), cpus(), gpu)
    if options.processor is None:
        return None
    if options.cpus is None:
        raise ConfigError("--processor needs --cpus, the number of cores")
    return rows.Machine(options.processor, options.cpus, options.gpu)


def _add_render(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "render", help="write RESULTS.md, the README's short table and that of the model's card"
    )
    parser.set_defaults(run=render)
    _add_results(parser)
    _add_published(parser)
    add = parser.add_argument
    add("--page", type=Path, help="(default: results/RESULTS.md)")
    add("--readme", type=typed, default=Path("README.md"), help=_DEFAULT)
    add("--model", type=typed, default=Path("models/english.pth"), help=_DEFAULT)
    add("--card", type=typed, default=Path("models/README.md"), help=_DEFAULT)


def render(options: argparse.Namespace) -> None:
    """Write the page and the tables."""
    ours = rows.read(resolve(options.results), rows.Result)
    theirs = rows.read_published(resolve(options.published))
    rendered = options.page or resolve("results/RESULTS.md")
    page.write(ours, theirs, rendered)
    print(f"{rendered}: {len(rows.ordered(ours))} results and {len(theirs)} published")
    replaced = f"the text between {page.BEGIN} and {page.END}"
    if page.insert(page.brief(rows.ordered(ours)), resolve(options.readme)):
        print(f"{options.readme}: {replaced}")
    # the model's bytes show which results are its own; without any its card stays as it is
    model, card = resolve(options.model), resolve(options.card)
    if model.exists() and card.exists():
        digest = hashlib.sha256(model.read_bytes()).hexdigest()
        its = [row for row in ours if row.checkpoint_sha256 == digest]
        if its and page.insert(page.summary(rows.ordered(its), []), card):
            print(f"{options.card}: {replaced}")


def _add_curve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("curve", help="show the WER over hours of training speech")
    parser.set_defaults(run=draw_curve)
    add = parser.add_argument
    add("--where", nargs="+", default=[], metavar="KEY=VALUE", help="that the runs must have")
    add("--recipe", help="what the names of the runs begin with")
    add("--hours", type=float, nargs="+", default=curve.HOURS, help="to predict the WER for")
    _add_results(parser)
    _add_published(parser)
    add("--output", type=Path, help=".png and .md (default: results/learning_curve)")


def draw_curve(options: argparse.Namespace) -> None:
    """Write the learning curve of recorded runs, and print its tables."""
    pairs = [each.partition("=") for each in options.where]
    if not all(equals for _, equals, _ in pairs):
        raise ConfigError(f"--where takes KEY=VALUE, but is {' '.join(options.where)}")
    if min(options.hours) <= 0:
        raise ConfigError(f"--hours must be positive, but is {min(options.hours):g}")
    where = {key: value for key, _, value in pairs}
    results = rows.read(resolve(options.results), rows.Result)
    published = rows.read_published(resolve(options.published))
    found = curve.fit(curve.choose(results, where, options.recipe), published, options.hours)
    curve.write(found, options.output or resolve("results/learning_curve"))
    print(curve.tables(found))


def _add_ablation(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("ablation", help="show what each change of a recipe brings")
    parser.set_defaults(run=compare_runs)
    add = parser.add_argument
    add("base", metavar="BASE", help="folder of the run that the others are compared with")
    add("runs", nargs="*", metavar="RUN", help="folders of finished runs, those of seeds too")
    add("--about", help="a sentence that describes the base (default: as the page has it)")
    add("--results", help="JSON lines of runs (default: ablations.jsonl beside the base's folder)")


def compare_runs(options: argparse.Namespace) -> None:
    """Add runs to an ablation, and write its page and its picture."""
    base = typed(options.base)
    path = typed(options.results) if options.results else base.parent / "ablations.jsonl"
    with locked(path.with_name(f".{path.name}.lock")):
        new = [ablation.read_run(typed(folder), base) for folder in (options.base, *options.runs)]
        names = {run.name for run in new}
        runs = [run for run in rows.read(path, ablation.Run) if run.name not in names] + new
        table = ablation.rows(runs)
        description = path.with_suffix(".txt")
        about = "The base."
        if description.is_file():
            about = description.read_text(encoding="utf-8").strip()
        about = options.about or about
        ablation.write_runs(path, sorted(runs, key=lambda run: run.name))
        write_whole(description, f"{about}\n")
        text = ablation.page(table, about, f"{path.stem}.png")
        write_whole(path.with_suffix(".md"), text)
        ablation.draw(table, path.with_suffix(".png"))
        print(text)


def _add_results(parser: argparse.ArgumentParser) -> None:
    default = Path("results/results.jsonl")
    parser.add_argument("--results", type=typed, default=default, help=f"the rows {_DEFAULT}")


def _add_published(parser: argparse.ArgumentParser) -> None:
    default = Path("docs/published.yaml")
    parser.add_argument("--published", type=typed, default=default, help=f"of others {_DEFAULT}")


if __name__ == "__main__":
    sys.exit(run_command(main))
