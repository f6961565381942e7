"""Recognition from its config."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import torch
from omegaconf import DictConfig

from deepspeech2.config.components import group, settings_of
from deepspeech2.config.loaders import corpora
from deepspeech2.config.metrics import own_metrics
from deepspeech2.config.recognizer import loader_from, recognizer_from
from deepspeech2.datasets.corpus import MOST_NAMED, Corpus
from deepspeech2.datasets.mixed import apart
from deepspeech2.escaping import one_line
from deepspeech2.evaluation import Evaluation
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
from deepspeech2.inference.transcribe_corpus import CorpusTranscriber, split_channels
from deepspeech2.paths import at_home, resolve
from deepspeech2.settings import InferencerSettings
from deepspeech2.types import Failure

log = logging.getLogger(__name__)

PREDICTIONS = "data/saved"


def infer(config: DictConfig) -> int:
    """Recognise every corpus of ``datasets``; return 1 if any audio could not be read, else 0."""
    settings = settings_of(config, InferencerSettings)
    torch.manual_seed(settings.seed)
    recognizer = recognizer_from(config, settings.from_pretrained, settings)
    if settings.reject_below is not None and isinstance(recognizer.confidence, RawConfidence):
        log.warning(
            "confidences of %s are not calibrated: fit them with deepspeech2 calibrate, or"
            " inferencer.reject_below means little",
            recognizer.decoder.name,
        )
    open_loader = partial(loader_from(config), recognizer)
    metrics = own_metrics(config)
    transcribe = CorpusTranscriber(recognizer, open_loader, settings.max_segment, metrics)
    parts = apart(corpora(group(config, "datasets")))
    if settings.channels == "split":
        parts = {name: split_channels(corpus) for name, corpus in parts.items()}
    folders = prediction_folders(parts, resolve(PREDICTIONS) / at_home(settings.save_path))
    evaluations: dict[str, Evaluation] = {}
    failures: list[Failure] = []
    for name, corpus in parts.items():
        output = None if settings.output is None else resolve(settings.output)
        if output is not None and len(parts) > 1:  # each part has its own folder below it
            output /= folders[name].name
        folder = PredictionFolder(folders[name], recognizer, settings, output)
        evaluations[folders[name].name], broken = transcribe(corpus, folder)
        failures += broken
        if unlike := recognizer.confidence.unlike(folder.surety):
            log.warning("%s: %s", one_line(corpus.name), unlike)
        _print_corpus(corpus, folder)
    _print_summary(evaluations, failures, recognizer, settings.from_pretrained)
    return 1 if failures else 0


def prediction_folders(parts: Mapping[str, Corpus], root: Path) -> dict[str, Path]:
    """Choose a folder for each part; parts of one corpus are named by their keys."""
    names = Counter(safe_name(corpus.name) for corpus in parts.values())
    folders: dict[str, Path] = {}
    for key, corpus in parts.items():
        name = safe_name(corpus.name)
        folder = root / (name if names[name] == 1 else safe_name(key))
        while folder in folders.values():  # a corpus with the name of another's key
            folder = folder.with_name(f"{folder.name}-{safe_name(key)}")
        folders[key] = folder
    return folders


def _print_corpus(corpus: Corpus, folder: PredictionFolder) -> None:
    if folder.unreferenced:
        print(transcript_lines(folder.unreferenced))
    if folder.rejections.reject_below is not None:
        print(one_line(f"{corpus.name}: {folder.rejections.summary()}"))
    left_out = [each for each in corpus.exclusions if each.utterance is None]
    for each in left_out[:MOST_NAMED]:
        print(one_line(f"left out: {each.name}: {each.reason}"))
    if len(left_out) > MOST_NAMED:
        print(f"left out: {len(left_out) - MOST_NAMED} more")
    earlier = f", {folder.n_earlier} of them from an earlier run" if folder.n_earlier else ""
    counted = f"{len(corpus)} utterances{earlier}"
    print(one_line(f"{corpus.name}: {counted}, predictions in {folder.folder}"))
    if folder.output != folder.folder:
        print(one_line(f"other formats in {folder.output}"))
    if folder.spared:
        print(
            f"{len(folder.spared)} files that were there already were kept, among them"
            f" {one_line(str(folder.spared[0]))}: inferencer.overwrite=true replaces them"
        )


def _print_summary(
    evaluations: Mapping[str, Evaluation],
    failures: list[Failure],
    recognizer: Recognizer,
    path: str,
) -> None:
    tables = [table(evaluations) for table in (score_table, budget_table, hot_word_table)]
    if any(tables):
        digest = f" (SHA-256 {recognizer.origin[:12]}...)" if recognizer.origin else ""
        print(one_line(f"model {path}{digest}, {datetime.now(UTC).date().isoformat()}"))
    for text in filter(None, tables):
        print(f"{text}\n")
    for each in failures:
        result = "heard in part" if each.seconds else "could not be read"
        reason = each.reason.removeprefix(f"{each.utterance.audio} ")
        print(one_line(f"{result}: {each.utterance.audio}: {reason}"))
