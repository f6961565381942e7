"""Seeing and hearing the training data of a config; nothing is downloaded."""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from deepspeech2.config.components import TARGET, create, group, settings_of, takes
from deepspeech2.config.loaders import corpora
from deepspeech2.datasets import BucketBatchSampler
from deepspeech2.datasets.bucketing import padding_share
from deepspeech2.engine import use_threads
from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.escaping import one_line
from deepspeech2.extras.checks.preview import (
    PAGE,
    Examined,
    claim,
    examine,
    padding_at_random,
    read,
    render,
    steps,
    tell,
    unknown_characters,
    write,
)
from deepspeech2.paths import resolve
from deepspeech2.pipeline import Pipeline
from deepspeech2.settings import DataloaderSettings, PreviewSettings, TrainerSettings
from deepspeech2.text import TextEncoder
from deepspeech2.types import Padded
from deepspeech2.writer.histograms import durations, neutral_png, padding, speech_rates

PREVIEWS = "data/preview"
_TRAIN = "train"
_FITTED_ON = 64  # utterances for a normalisation that is fitted to the data
log = logging.getLogger(__name__)


def preview(config: DictConfig) -> int:
    """Write the preview, print where it lies; returns 0.

    Raises:
        ConfigError: the config is none of training, or the folder holds something else.
        ManifestError: a corpus is not there, or nothing of it can be learnt from.
    """
    asked = config.get("preview") is not None
    options = settings_of(config, PreviewSettings) if asked else PreviewSettings()
    if "trainer" not in config:
        raise ConfigError(
            "preview shows what training reads: name a config of training, as -cn=an4"
        )
    settings = settings_of(config, TrainerSettings)
    name = _config_name(config)
    folder = resolve(options.save_path or f"{PREVIEWS}/{name.replace('/', '-')}")
    claim(folder)
    use_threads(settings.threads)
    text_encoder: TextEncoder = create(group(config, "text_encoder"), "text_encoder")
    pipeline = _pipeline(config, text_encoder)
    examined = _examine(config, text_encoder, pipeline, settings.seed)
    train = examined[0]
    front_end = pipeline.front_end
    samples = read(train.kept, front_end.sample_rate, max(options.utterances, 1))
    _fit(pipeline, train)
    chain = steps(front_end, group(config, "transforms"))
    stories = tell(front_end, chain, samples, draws=options.draws, seed=settings.seed)
    charts = _charts(examined, pipeline)
    unknown = unknown_characters(examined, text_encoder)
    command = shlex.join(["python", *sys.argv])
    page = render(f"Training data of {name}", command, examined, unknown, stories, charts)
    write(folder, page, stories, charts, _numbers(examined, unknown))
    _say(examined, folder)
    return 0


def _config_name(config: DictConfig) -> str:
    """As it was named on the command line; the run's name where there was none."""
    if HydraConfig.initialized():
        return str(HydraConfig.get().job.config_name)
    return str(group(config, "writer").get("run_name"))


def _pipeline(config: DictConfig, text_encoder: TextEncoder) -> Pipeline:
    """Front end and network, whose weights do not matter here."""
    front_end = create(group(config, "transforms"), "transforms")
    derived = {"n_features": front_end.n_features, "n_tokens": text_encoder.n_tokens}
    return Pipeline(front_end, create(group(config, "model"), "model", **derived))


def _examine(
    config: DictConfig, text_encoder: TextEncoder, pipeline: Pipeline, seed: int
) -> list[Examined]:
    """Every corpus of the config, train first, with its batches."""
    named = group(config, "datasets")
    if not named.get(_TRAIN):
        raise ConfigError("datasets.train must name a corpus to learn from")
    dataloader = settings_of(config, DataloaderSettings)
    found = corpora({name: _present(name, entry) for name, entry in named.items()})
    examined = []
    for name in (_TRAIN, *(name for name in found if name != _TRAIN)):
        each = examine(
            name,
            found[name],
            text_encoder,
            pipeline.output_frames,
            pipeline.front_end.sample_rate,
        )
        if name == _TRAIN and not each.kept:
            raise ManifestError(
                f"{each.corpus.name} has no utterance to learn from: {', '.join(each.left_out)}"
            )
        examined.append(_planned(each, dataloader, seed))
    return examined


def _present(name: str, entry: Any) -> Any:
    """A corpus' entry that downloads nothing, unless it says so itself."""
    if (
        isinstance(entry, Mapping)
        and TARGET in entry
        and takes(entry, f"datasets.{name}", "download")
    ):
        return {"download": False, **entry}
    return entry


def _planned(examined: Examined, dataloader: DataloaderSettings, seed: int) -> Examined:
    learnt = examined.name == _TRAIN
    sampler = BucketBatchSampler(
        examined.durations,
        max_batch_duration=dataloader.max_batch_duration,
        max_batch_size=dataloader.max_batch_size,
        shuffle=learnt,
        seed=seed,
        sorted_epochs=dataloader.sorted_epochs if learnt else 0,
    )
    limits = (dataloader.max_batch_duration, dataloader.max_batch_size)
    return replace(
        examined,
        batches=sampler.batches(0),
        random_padding=padding_at_random(examined.durations, *limits, seed),
    )


def _fit(pipeline: Pipeline, train: Examined) -> None:
    """Fit a normalisation that asks for it, to fewer utterances than training does."""
    samples = read(train.kept, pipeline.front_end.sample_rate, _FITTED_ON)
    pipeline.front_end.fit(Padded.stack([sample.waveform]) for sample in samples)


def _charts(examined: Sequence[Examined], pipeline: Pipeline) -> dict[str, bytes]:
    train = examined[0]
    seconds = train.durations
    shares = np.array([padding_share(seconds, [batch]) for batch in train.batches])
    sizes = np.array([len(batch) for batch in train.batches])
    plain_rate = 1 / pipeline.seconds_per_frame
    second = torch.tensor([3600 * pipeline.front_end.sample_rate])
    fewest = float(pipeline.output_frames(second)) / 3600
    limits = [("what this network has", plain_rate)]
    if fewest < 0.99 * plain_rate:
        limits.append(("when augmentation speeds up", fewest))
    rates = {
        each.name: each.needed / np.maximum(each.durations, 1e-3)
        for each in examined
        if len(each.kept)
    }
    figures = {
        "durations": durations({each.name: each.durations for each in examined}),
        "padding": padding(shares, sizes),
        "speech_rates": speech_rates(rates, limits),
    }
    return {name: neutral_png(figure) for name, figure in figures.items()}


def _numbers(examined: Sequence[Examined], unknown: set[str]) -> dict[str, Any]:
    """All that the page tells, for programs; shares are fractions."""
    return {
        each.name: {
            "corpus": each.corpus.name,
            "utterances": len(each.kept),
            "hours": each.hours,
            "batches": len(each.batches),
            "padding": each.padding,
            "random_padding": each.random_padding,
            "characters": dict(each.characters.most_common()),
            "outside_alphabet": sorted(unknown & each.characters.keys()),
            "left_out": each.left_out,
        }
        for each in examined
    }


def _say(examined: Sequence[Examined], folder: Path) -> None:
    for each in examined:
        print(
            f"{each.name} ({one_line(each.corpus.name)}): {len(each.kept):,} utterances,"
            f" {each.hours:.2f} h, {len(each.batches):,} batches with"
            f" {100 * each.padding:.1f} % padding, {each.n_left_out:,} left out"
        )
    print(one_line(f"open in a browser: {folder / PAGE}"))
