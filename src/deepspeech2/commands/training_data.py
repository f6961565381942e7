"""The loaders of a run: its corpora are checked, and what cannot be learnt from is left out."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from inspect import signature
from itertools import chain
from pathlib import Path

import torch
from omegaconf import DictConfig

from deepspeech2.audio.phones import PhoneTargets
from deepspeech2.config.components import group, settings_of
from deepspeech2.config.loaders import corpora, open_loader
from deepspeech2.datasets import Corpus
from deepspeech2.datasets.corpus import MOST_NAMED
from deepspeech2.datasets.loader import SpeechLoader
from deepspeech2.datasets.mixed import EpochDraw, MixedCorpus, apart, parts
from deepspeech2.engine import Engine
from deepspeech2.errors import ConfigError
from deepspeech2.escaping import one_line
from deepspeech2.extras import checks
from deepspeech2.extras.checks import Finding, Trainable, quantity, report, trainable
from deepspeech2.paths import resolve
from deepspeech2.pipeline import Pipeline
from deepspeech2.settings import DataloaderSettings, TrainerSettings
from deepspeech2.text import Tokenizer
from deepspeech2.trainer import TrainingData
from deepspeech2.types import Utterance

log = logging.getLogger(__name__)

SAMPLED = 64
"""Recordings that are read before a run starts, of all corpora together."""

_SECONDS = 30.0  # that are read of each of them


def open_training_data(
    config: DictConfig,
    settings: TrainerSettings,
    engine: Engine,
    text_encoder: Tokenizer,
    pipeline: Pipeline,
    run_folder: Path,
) -> TrainingData:
    """The loaders of a run, after the first rank has reported what is wrong with their data.

    Raises:
        ConfigError: a value of the groups ``datasets`` or ``dataloader`` is wrong.
        ManifestError: a corpus is missing, or none of its utterances can be learnt from.
    """
    named = group(config, "datasets")
    if not named.get("train"):
        raise ConfigError("datasets.train must name a corpus to learn from")
    dataloader = settings_of(config, DataloaderSettings)
    by_name = corpora(named)
    if engine.is_main:
        n_parameters = sum(weight.numel() for weight in pipeline.parameters())
        for finding in check_start(by_name, settings, dataloader, n_parameters, run_folder):
            if finding.severity != "ok":
                log.warning("%s", finding)
    _check_weights(by_name["train"], pipeline)
    sample_rate = pipeline.front_end.sample_rate
    loaders: dict[str, SpeechLoader] = {}
    for name, corpus in by_name.items():
        # augmentation shortens what is trained on, and nothing else
        frames = pipeline.output_frames if name == "train" else pipeline.plain_frames
        usable: dict[str, tuple[Utterance, ...]] = {}
        for key, part in parts(name, corpus).items():
            area = f"datasets.{key}"
            found = trainable(part, text_encoder, frames, sample_rate, f"{area} ({part.name})")
            usable[key] = found.utterances
            if engine.is_main:
                _report(area, part, found, text_encoder)
        draw = None
        if name == "train" and isinstance(corpus, MixedCorpus):
            durations = [[each.duration for each in items] for items in usable.values()]
            draw = corpus.draw(dict(zip(corpus.parts, durations, strict=True)), settings.seed)
            if engine.is_main:
                _report_shares(dict(zip(usable, durations, strict=True)), draw)
        loaders[name] = open_loader(
            dataloader,
            tuple(chain.from_iterable(usable.values())),
            text_encoder.encode,
            sample_rate,
            shuffle=name == "train",
            seed=settings.seed,
            rank=engine.rank,
            world_size=engine.world_size,
            draw=draw,
        )
    train_loader = loaders.pop("train")
    test = {name: loader for name, loader in loaders.items() if name.startswith("test")}
    validation = {name: loader for name, loader in loaders.items() if name not in test}
    return TrainingData(train_loader, validation, test, cached=dataloader.cache_kind != "none")


def _check_weights(corpus: Corpus, pipeline: Pipeline) -> None:
    """Raise ConfigError if utterances have weights, and the loss takes none."""
    if "weights" in signature(pipeline.loss.forward).parameters:
        return
    for part in parts("train", corpus).values():
        if any(each.weight != 1 for each in part):
            raise ConfigError(
                f"{part.name} has weights, which loss_function={type(pipeline.loss).__name__} does"
                " not take: choose loss_function=ctc, or leave them out of the manifest"
            )


def phone_targets(
    pipeline: Pipeline, utterances: Sequence[Utterance], text_encoder: Tokenizer, engine: Engine
) -> PhoneTargets | None:
    """The phones of what is trained on, if the loss has a weight for them.

    Raises:
        ConfigError: eSpeak NG does not speak their language.
    """
    if not getattr(pipeline.loss, "phones_weight", 0.0):
        return None
    language = pipeline.loss.phones_language
    texts = (each.text for each in utterances if each.text is not None)
    try:
        targets = PhoneTargets(texts, language, text_encoder.normalize, show=engine.is_main)
    except ConfigError as error:
        raise ConfigError(f"loss_function.phones_language cannot be used: {error}") from error
    if engine.is_main:
        rate = pipeline.front_end.sample_rate
        samples = torch.tensor([round(each.duration * rate) for each in utterances])
        available = pipeline.output_frames(samples).tolist()
        pairs = zip(utterances, available, strict=True)
        short = sum(targets.frames(each) > frames for each, frames in pairs)
        log.info(
            "%d phones (%s); %d utterances are too short for theirs",
            len(targets.phones),
            language,
            short,
        )
    return targets


def check_start(
    corpora: Mapping[str, Corpus],
    settings: TrainerSettings,
    dataloader: DataloaderSettings,
    n_parameters: int,
    run_folder: Path,
) -> list[Finding]:
    """Check machine, disks, duplicates and a sample of the recordings, in about two seconds.

    What CTC cannot align is left to :func:`trainable`; the doctor reads every recording.
    """
    demands = [checks.checkpoint_demand(run_folder, n_parameters, settings)]
    if dataloader.cache_kind == "disk":
        seconds = sum(corpus.duration for corpus in corpora.values())
        demands.append(checks.cache_demand(resolve(dataloader.cache_dir), seconds))
    findings = checks.judge_machine(checks.gather(thorough=False), settings.device)
    findings += checks.judge_disks(demands)
    for name, corpus in corpora.items():
        findings.append(checks.judge_repetitions(f"datasets.{name}", corpus))
    findings += checks.judge_overlaps(corpora)
    separate = apart(corpora)
    for name, corpus in separate.items():
        if len(corpus):
            sample = checks.spread(corpus.utterances, max(1, SAMPLED // len(separate)))
            checked = checks.check_recordings(sample, max_seconds=_SECONDS, show=False)
            sharing = Counter(utterance.audio for utterance in corpus)
            findings += checks.judge_recordings(f"datasets.{name}", checked, sharing)
    return findings


def _report_shares(durations: Mapping[str, Sequence[float]], draw: EpochDraw | None) -> None:
    """Log the hours of each corpus, and its share of an epoch as asked for and as drawn.

    Args:
        durations: seconds of each utterance, by the corpora's names in ``datasets``.
    """
    available = [sum(each) for each in durations.values()]
    asked = available if draw is None else [share.seconds for share in draw.shares]
    drawn = available if draw is None else draw.seconds(0)
    for place, (name, each) in enumerate(durations.items()):
        text = f"{quantity(len(each), 'utterance')}, {available[place] / 3600:.2f} h"
        if draw is not None:
            text += (
                f"; {100 * asked[place] / sum(asked):.1f} % of an epoch asked for,"
                f" {100 * drawn[place] / sum(drawn):.1f} % ({drawn[place] / 3600:.2f} h) drawn for"
                f" the first; {asked[place] / available[place]:.2f} passes an epoch"
            )
        log.info("%s", one_line(f"datasets.{name}: {text}"))


def _report(name: str, corpus: Corpus, found: Trainable, text_encoder: Tokenizer) -> None:
    exclusions = (*corpus.exclusions, *found.left_out)
    if exclusions:
        log.warning(report(f"{name} ({corpus.name})", exclusions))
    if found.outside is not None:
        log.warning("%s", one_line(f"{name}: {found.outside}"))
    dropped = text_encoder.normalizer.dropped(each.text or "" for each in corpus)
    if dropped:
        named = ", ".join(f"{mark!r} {count}" for mark, count in dropped.most_common(MOST_NAMED))
        log.info("%s: taken out of its transcripts: %s", name, one_line(named))
