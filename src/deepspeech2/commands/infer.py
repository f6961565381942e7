"""Recognition from its config."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import torch
from omegaconf import DictConfig

from deepspeech2.audio.reading import AudioInfo, probe_all
from deepspeech2.config.components import group, settings_of
from deepspeech2.config.loaders import corpora, no_labels, open_loader
from deepspeech2.config.recognizer import recognizer_from
from deepspeech2.datasets.corpus import MOST_NAMED, Corpus
from deepspeech2.engine import use_threads
from deepspeech2.escaping import one_line
from deepspeech2.evaluation import Evaluation, Recognized
from deepspeech2.files import safe_name
from deepspeech2.inference import (
    PredictionFolder,
    Recognizer,
    budget_table,
    hot_word_table,
    score_table,
    transcript_lines,
)
from deepspeech2.inference.calibration import RawConfidence
from deepspeech2.inference.prediction_files import recall
from deepspeech2.inference.running import run_long, run_short
from deepspeech2.paths import at_home, resolve
from deepspeech2.settings import DataloaderSettings, InferencerSettings
from deepspeech2.types import Failure, Utterance

log = logging.getLogger(__name__)

PREDICTIONS = "data/saved"


def infer(config: DictConfig) -> int:
    """Recognise every corpus of ``datasets``; 1 if any audio could not be read, otherwise 0."""
    settings = settings_of(config, InferencerSettings)
    use_threads(settings.threads)
    torch.manual_seed(settings.seed)
    recognizer = recognizer_from(
        settings.from_pretrained, settings.device, group(config, "decoder")
    )
    if settings.reject_below is not None and isinstance(recognizer.confidence, RawConfidence):
        log.warning(
            "confidences of %s are not calibrated: fit them with scripts/calibrate.py, or"
            " inferencer.reject_below means little",
            recognizer.decoder.name,
        )
    dataloader = settings_of(config, DataloaderSettings)
    root = resolve(PREDICTIONS) / at_home(settings.save_path)
    evaluations: dict[str, Evaluation] = {}
    parts = corpora(group(config, "datasets"))
    if settings.channels == "split":
        parts = {name: _channels(corpus) for name, corpus in parts.items()}
    folders = _folders(parts, root)
    failed: list[Failure] = []
    for name, corpus in parts.items():
        folder = PredictionFolder(
            folders[name],
            recognizer,
            formats=settings.formats,
            output=_output(settings.output, folders[name].name, alone=len(parts) == 1),
            overwrite=settings.overwrite,
            override=settings.override,
            reject_below=settings.reject_below,
            max_segment=settings.max_segment,
        )
        earlier = folder.finished(corpus.utterances)
        rest = [each for each in corpus.utterances if each.id not in earlier]
        evaluation = _recognize(recognizer, corpus, rest, folder.write, dataloader, settings)
        recall(evaluation, earlier.values(), recognizer.decoder.name)
        broken = [*evaluation.failures, *_excluded(corpus)]
        for failure in broken:
            folder.write_error(failure.utterance, failure.reason)
        _hear_in_part(recognizer, corpus, broken, folder, dataloader, settings)
        failed += broken
        folder.finish()
        if unlike := recognizer.confidence.unlike(folder.surety):
            log.warning("%s: %s", one_line(corpus.name), unlike)
        evaluations[folders[name].name] = evaluation
        _tell(corpus, folder, len(earlier))
    tables = [table(evaluations) for table in (score_table, budget_table, hot_word_table)]
    if any(tables):
        digest = f" (SHA-256 {recognizer.origin[:12]}...)" if recognizer.origin else ""
        today = datetime.now(UTC).date().isoformat()
        print(one_line(f"model {settings.from_pretrained}{digest}, {today}"))
    for text in filter(None, tables):
        print(f"{text}\n")
    for each in failed:
        said = "heard in part" if each.seconds else "could not be read"
        reason = each.reason.removeprefix(f"{each.utterance.audio} ")
        print(one_line(f"{said}: {each.utterance.audio}: {reason}"))
    return 1 if failed else 0


def _recognize(
    recognizer: Recognizer,
    corpus: Corpus,
    utterances: Sequence[Utterance],
    write: Callable[[Recognized], None],
    dataloader: DataloaderSettings,
    settings: InferencerSettings,
) -> Evaluation:
    """Those of a corpus that are left: short ones in batches, then the long ones one by one."""
    longest = math.inf if settings.max_segment is None else settings.max_segment
    short = [each for each in utterances if each.duration <= longest]
    long = [each for each in utterances if each.duration > longest]
    # without a reference there is nothing to compare: only the chosen decoder listens
    scored = any(each.text is not None for each in corpus)
    decoders = recognizer.decoders if scored else [recognizer.decoder]
    evaluation = Evaluation.of(recognizer.decoders, budget=True)
    if short:
        loader = open_loader(dataloader, short, no_labels, recognizer.sample_rate, shuffle=False)
        evaluation = run_short(recognizer, loader, decoders, write, title=corpus.name)
    if long:
        run_long(
            recognizer,
            long,
            decoders,
            evaluation,
            write,
            max_segment=longest,
            title=corpus.name,
        )
    return evaluation


def _tell(corpus: Corpus, folder: PredictionFolder, n_earlier: int) -> None:
    if folder.unreferenced:
        print(transcript_lines(folder.unreferenced))
    if folder.gate.reject_below is not None:
        print(one_line(f"{corpus.name}: {folder.gate.closing_line()}"))
    left_out = [each for each in corpus.exclusions if each.utterance is None]
    for each in left_out[:MOST_NAMED]:
        print(one_line(f"left out: {each.name}: {each.reason}"))
    if len(left_out) > MOST_NAMED:
        print(f"left out: {len(left_out) - MOST_NAMED} more")
    kept = f", {n_earlier} of them from an earlier run" if n_earlier else ""
    print(
        one_line(f"{corpus.name}: {len(corpus)} utterances{kept}, predictions in {folder.folder}")
    )
    if folder.output != folder.folder:
        print(one_line(f"other formats in {folder.output}"))
    if folder.spared:
        print(
            f"{len(folder.spared)} files that were there already were kept, among them"
            f" {one_line(str(folder.spared[0]))}: inferencer.overwrite=true replaces them"
        )


def _output(output: str | None, part: str, *, alone: bool) -> Path | None:
    """The folder of other formats: each of several parts has its own below it."""
    if output is None:
        return None
    return resolve(output) if alone else resolve(output) / part


def _folders(parts: dict[str, Corpus], root: Path) -> dict[str, Path]:
    """A folder for each part; its key keeps two parts of the same corpus apart."""
    names = Counter(safe_name(corpus.name) for corpus in parts.values())
    folders: dict[str, Path] = {}
    for key, corpus in parts.items():
        name = safe_name(corpus.name)
        folder = root / (name if names[name] == 1 else safe_name(key))
        while folder in folders.values():  # a corpus that is called like another's key
            folder = folder.with_name(f"{folder.name}-{safe_name(key)}")
        folders[key] = folder
    return folders


def _excluded(corpus: Corpus) -> list[Failure]:
    """What was left out since its recording cannot be read, or not all of it."""
    left_out = [(each.utterance, each.reason) for each in corpus.exclusions]
    return [Failure(each, reason, each.duration) for each, reason in left_out if each is not None]


def _hear_in_part(
    recognizer: Recognizer,
    corpus: Corpus,
    broken: Sequence[Failure],
    folder: PredictionFolder,
    dataloader: DataloaderSettings,
    settings: InferencerSettings,
) -> None:
    """Write what is heard in the part of a recording that is there; it counts in no score."""
    reasons = {each.utterance.id: each.reason for each in broken}
    there = [replace(each.utterance, duration=each.seconds) for each in broken if each.seconds > 0]

    def write(result: Recognized) -> None:
        folder.write(result, reasons[result.utterance.id])

    if there:
        _recognize(recognizer, corpus, there, write, dataloader, settings)


def _channels(corpus: Corpus) -> Corpus:
    """The same with an utterance for each channel of each recording."""
    paths = list(dict.fromkeys(each.audio for each in corpus))
    infos = dict(zip(paths, probe_all(paths), strict=True))
    found: list[Utterance] = []
    for each in corpus:
        info = infos[each.audio]
        number = info.channels if isinstance(info, AudioInfo) else 1
        found += [
            replace(each, id=f"{each.id}-channel{channel}", channel=channel)
            for channel in range(1, number + 1)
        ]
    return Corpus(corpus.name, found, corpus.exclusions)
