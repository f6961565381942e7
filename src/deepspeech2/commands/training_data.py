"""The corpora of a run: examined, rid of what cannot be learnt from, and as loaders."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from omegaconf import DictConfig

from deepspeech2.config.components import group, settings_of
from deepspeech2.config.loaders import corpora, open_loader
from deepspeech2.datasets import Corpus
from deepspeech2.datasets.corpus import MOST_NAMED, Exclusion
from deepspeech2.datasets.loader import SpeechLoader
from deepspeech2.engine import Engine
from deepspeech2.errors import ConfigError
from deepspeech2.escaping import one_line
from deepspeech2.extras.checks import checkpoint_bytes, kept_checkpoints, quick, report, trainable
from deepspeech2.paths import resolve
from deepspeech2.pipeline import Pipeline
from deepspeech2.settings import DataloaderSettings, TrainerSettings
from deepspeech2.text import TextEncoder
from deepspeech2.trainer import TrainingData

log = logging.getLogger(__name__)


def open_training_data(
    config: DictConfig,
    settings: TrainerSettings,
    engine: Engine,
    text_encoder: TextEncoder,
    pipeline: Pipeline,
    run_folder: Path,
) -> TrainingData:
    """The loaders of a run, after the first rank has told what is wrong with their data.

    Raises:
        ConfigError: the groups ``datasets`` or ``dataloader`` say something else.
        ManifestError: a corpus is missing, or none of its utterances can be learnt from.
    """
    named = group(config, "datasets")
    if not named.get("train"):
        raise ConfigError("datasets.train must name a corpus to learn from")
    dataloader = settings_of(config, DataloaderSettings)
    found = corpora(named)
    if engine.is_main:
        _examine(found, settings, dataloader, pipeline, run_folder)
    sample_rate = pipeline.front_end.sample_rate
    loaders: dict[str, SpeechLoader] = {}
    for name, corpus in found.items():
        # what is only listened to is never made shorter
        frames = pipeline.output_frames if name == "train" else pipeline.plain_frames
        kept, left_out = trainable(corpus, text_encoder, frames, sample_rate)
        if engine.is_main:
            _report(name, corpus, left_out, text_encoder)
        loaders[name] = open_loader(
            dataloader,
            kept,
            text_encoder.encode,
            sample_rate,
            shuffle=name == "train",
            seed=settings.seed,
            rank=engine.rank,
            world_size=engine.world_size,
        )
    train_loader = loaders.pop("train")
    test = {name: loader for name, loader in loaders.items() if name.startswith("test")}
    validation = {name: loader for name, loader in loaders.items() if name not in test}
    return TrainingData(train_loader, validation, test, cached=dataloader.cache_kind != "none")


def _examine(
    found: Mapping[str, Corpus],
    settings: TrainerSettings,
    dataloader: DataloaderSettings,
    pipeline: Pipeline,
    run_folder: Path,
) -> None:
    """Say what is wrong, if anything is; a run goes on all the same."""
    n_parameters = sum(weight.numel() for weight in pipeline.parameters())
    findings = quick(
        found,
        run_folder,
        checkpoint_size=checkpoint_bytes(n_parameters, ema=settings.ema is not None),
        n_checkpoints=kept_checkpoints(settings.n_epochs, settings.save_period),
        device=settings.device,
        cache_dir=resolve(dataloader.cache_dir) if dataloader.cache_kind == "disk" else None,
    )
    for finding in findings:
        if finding.severity != "ok":
            log.warning("%s", finding)


def _report(
    name: str, corpus: Corpus, left_out: tuple[Exclusion, ...], text_encoder: TextEncoder
) -> None:
    exclusions = (*corpus.exclusions, *left_out)
    if exclusions:
        log.warning(report(f"datasets.{name} ({corpus.name})", exclusions))
    dropped = text_encoder.normalize.dropped(each.text or "" for each in corpus)
    if dropped:
        named = ", ".join(f"{mark!r} {count}" for mark, count in dropped.most_common(MOST_NAMED))
        log.info("datasets.%s: taken out of its transcripts: %s", name, one_line(named))
