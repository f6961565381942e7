"""Recognition from its config."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from omegaconf import DictConfig

from src.build.components import group
from src.build.loading import DataloaderSettings, corpora, from_group
from src.build.recognition import recognizer_from
from src.datasets.corpus import Corpus
from src.errors import ConfigError
from src.evaluation import Evaluation
from src.inference import (
    InferencerSettings,
    PredictionFolder,
    budget_table,
    hot_word_table,
    score_table,
    transcript_lines,
)
from src.paths import resolve

log = logging.getLogger(__name__)

PREDICTIONS = "data/saved"


def infer(config: DictConfig) -> int:
    """Recognise every corpus of ``datasets``; 1 if any audio could not be read, otherwise 0."""
    settings: InferencerSettings = from_group(
        InferencerSettings, group(config, "inferencer"), "inferencer"
    )
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    recognizer = recognizer_from(
        settings.from_pretrained, settings.device, group(config, "decoder")
    )
    dataloader = DataloaderSettings.from_config(group(config, "dataloader"))
    root = _folder(settings.save_path)
    evaluations: dict[str, Evaluation] = {}
    parts = corpora(group(config, "datasets"))
    folders = _folders(parts, root)
    n_failed = 0
    for name, corpus in parts.items():
        folder = PredictionFolder(folders[name], recognizer, override=settings.override)
        evaluation = Evaluation({})
        if len(corpus):
            loader = dataloader.loader(
                corpus.utterances, _no_labels, recognizer.sample_rate, shuffle=False
            )
            evaluation = recognizer.run(loader, folder.write, title=corpus.name)
        n_failed += _write_failures(corpus, evaluation, folder)
        evaluations[corpus.name] = evaluation
        if folder.unreferenced:
            print(transcript_lines(folder.unreferenced))
        print(f"{corpus.name}: {len(corpus)} utterances, predictions in {folder.folder}")
    for table in (score_table, budget_table, hot_word_table):
        text = table(evaluations)
        if text:
            print(f"{text}\n")
    return 1 if n_failed else 0


def _folder(save_path: str) -> Path:
    """Where predictions go; ConfigError if that lies outside ``data/saved``."""
    root = resolve(PREDICTIONS).resolve()
    folder = (root / save_path).resolve()
    if folder == root or root not in folder.parents:
        raise ConfigError(
            f"inferencer.save_path must be a folder below {PREDICTIONS}, but is {save_path!r}"
        )
    return folder


def _folders(parts: dict[str, Corpus], root: Path) -> dict[str, Path]:
    """A folder for each part; its key keeps two parts of the same corpus apart."""
    names = [corpus.name for corpus in parts.values()]
    return {
        key: root / (corpus.name if names.count(corpus.name) == 1 else key)
        for key, corpus in parts.items()
    }


def _write_failures(corpus: Corpus, evaluation: Evaluation, folder: PredictionFolder) -> int:
    """A prediction file for each utterance that could not be read; returns how many."""
    broken = [(failure.utterance, failure.reason) for failure in evaluation.failures]
    broken += [(e.utterance, e.reason) for e in corpus.exclusions if e.utterance is not None]
    for utterance, reason in broken:
        folder.write_error(utterance, reason)
        log.error("%s: %s", utterance.audio, reason)
    return len(broken)


def _no_labels(text: str) -> list[int]:
    """Recognition needs no labels; a reference may hold characters that the alphabet lacks."""
    return []
