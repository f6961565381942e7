"""A round of training on what people corrected, from the command line."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from omegaconf import DictConfig

from deepspeech2 import plugins
from deepspeech2.commands.model_options import add_model_options
from deepspeech2.commands.train import train
from deepspeech2.config.command_line import check_settings
from deepspeech2.config.composing import composed
from deepspeech2.config.loaders import open_loader
from deepspeech2.config.recognizer import no_labels
from deepspeech2.datasets import ManifestCorpus
from deepspeech2.decoding import GreedyDecoder
from deepspeech2.errors import ConfigError, run_command
from deepspeech2.escaping import one_line
from deepspeech2.evaluation import evaluate
from deepspeech2.extras.improvement.material import Material, material, verdict
from deepspeech2.extras.improvement.rounds import (
    PLAN,
    REPORT,
    RUN,
    TEST,
    TRAIN,
    Plain,
    Rounds,
    write,
)
from deepspeech2.extras.labelling.export import rows
from deepspeech2.extras.labelling.journal import JOURNAL, Journal
from deepspeech2.files import alone, whole_folder, write_whole
from deepspeech2.inference import Recognizer
from deepspeech2.metrics.analysis import Row
from deepspeech2.metrics.comparison import compare
from deepspeech2.metrics.edits import character_edits, word_edits
from deepspeech2.paths import resolve, typed
from deepspeech2.settings import DataloaderSettings

_SHARE = 0.2  # of speakers or recordings that are tested on


def main(arguments: Sequence[str] | None = None) -> int:
    """Improve a model by one round; returns the exit status."""
    parser = argparse.ArgumentParser(
        description="Train a model further on what was corrected, and use it if it is better."
    )
    parser.add_argument("folder", type=typed, metavar="FOLDER", help=f"with {JOURNAL}")
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE", help="of the config")
    parser.add_argument("--config", default="improve", help="of training (default: %(default)s)")
    add_model_options(parser, "the model that the first round starts from")
    parser.add_argument("--list", action="store_true", help="print the rounds and their figures")
    parser.add_argument(
        "--back", type=int, metavar="N", help="use round N again; 0: the first model"
    )
    options = parser.parse_intermixed_args(arguments)
    return run_command(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    plugins.load(options.plugin)
    folder: Path = options.folder
    if not folder.is_dir():
        raise ConfigError(f"{folder} must be a folder with {JOURNAL}, but there is none")
    rounds = Rounds(folder)
    if options.list:
        print(rounds.table())
        return 0
    rounds.folder.mkdir(exist_ok=True)
    with alone(rounds.folder):
        if options.back is not None:
            rounds.use(options.back)
            model = rounds.checkpoint(options.back, resolve(options.checkpoint))
            print(one_line(f"round {options.back} is in use: {model}"))
            return 0
        number = rounds.unfinished
        if number is None:
            number = (rounds.numbers or [0])[-1] + 1
            _begin(rounds, number, options)
        else:
            print(f"round {number} was interrupted and goes on as it was planned")
        return _finish(rounds, number, options.device)


def _begin(rounds: Rounds, number: int, options: argparse.Namespace) -> None:
    """Write what a round learns from and how, so that it is the same when it is resumed."""
    labels = Journal(options.folder).read()
    chosen = material(rows(labels, "corrected"), rows(labels, "sure"), _SHARE)
    started = rounds.current
    plan = {
        "round": number,
        "from": started,
        "checkpoint": str(rounds.checkpoint(started, resolve(options.checkpoint))),
        "config": options.config,
        "changes": [*options.changes, f"trainer.device={options.device}"],
        "corrected": len(chosen.corrected),
        "sure": len(chosen.sure),
        "tested": len(chosen.test),
    }
    _config(rounds.place(number), plan)  # a wrong key is reported before anything is written
    with whole_folder(rounds.place(number)) as fresh:
        _write(fresh, chosen)
        write(fresh / PLAN, plan)


def _write(place: Path, chosen: Material) -> None:
    for name, manifest in ((TRAIN, [*chosen.corrected, *chosen.sure]), (TEST, chosen.test)):
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in manifest]
        write_whole(place / name, "".join(lines))


def _config(place: Path, plan: Plain) -> DictConfig:
    config = composed(
        str(plan["config"]),
        [
            "datasets=manifest",
            "~datasets.val",  # nothing is chosen by what is tested on
            f"data_dir={place}",
            f"datasets.train.manifest={TRAIN}",
            f"trainer.from_pretrained={plan['checkpoint']}",
            f"trainer.save_dir={place}",
            "trainer.monitor=off",
            "trainer.resume_from=auto",
            "writer=none",
            f"writer.run_name={RUN}",
            *plan["changes"],
        ],
    )
    check_settings(config)
    return config


def _finish(rounds: Rounds, number: int, device: str) -> int:
    """Train as planned, test, and use the new model if it is better."""
    place, plan = rounds.place(number), rounds.plan(number)
    status = train(_config(place, plan))
    if status:
        return status
    test = ManifestCorpus(TEST, place)
    before, after = (
        _heard(path, test, device)
        for path in (Path(plan["checkpoint"]), rounds.checkpoint(number, Path()))
    )
    found = compare(before, after)
    better, reason = verdict(found)
    figures = {"before": found.first, "after": found.second, "words": found.words}
    changed = {"difference": asdict(found.difference), "better": better, "why": reason}
    write(place / REPORT, {**plan, **figures, **changed})
    if better:
        rounds.use(number)
    use = f"round {rounds.current} is in use" if rounds.current else "the first model stays in use"
    print(one_line(f"round {number} is {reason}; {use}"))
    return 0


def _heard(checkpoint: Path, corpus: ManifestCorpus, device: str) -> list[Row]:
    """What a model hears in the held-out utterances, greedily."""
    recognizer = Recognizer.from_checkpoint(checkpoint, device=device, decoder=GreedyDecoder)
    settings = DataloaderSettings(max_batch_duration=120, num_workers=0)
    loader = open_loader(
        settings, corpus.utterances, no_labels, recognizer.sample_rate, shuffle=False
    )
    heard = evaluate(
        recognizer.pipeline,
        loader,
        [recognizer.decoder],
        recognizer.text_encoder,
        title=f"test {checkpoint.name}",
    )
    found = []
    for each in heard.results:
        reference, best = each.reference or "", each.hypotheses[recognizer.decoder.name][0].text
        edits = word_edits(reference, best), character_edits(reference, best)
        found.append(Row(each.utterance.id, reference, best, *edits, {}))
    return found
