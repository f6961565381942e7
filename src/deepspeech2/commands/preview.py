"""Write a page with the training data of a config; nothing is downloaded."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from deepspeech2.config.components import TARGET, create, group, settings_of, takes
from deepspeech2.config.loaders import corpora, map_corpora
from deepspeech2.datasets.mixed import apart
from deepspeech2.devices import use_threads
from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.escaping import one_line, without_secrets
from deepspeech2.extras.checks import preview as pages
from deepspeech2.extras.checks.preview import CorpusStatistics
from deepspeech2.paths import resolve
from deepspeech2.pipeline import Pipeline
from deepspeech2.settings import DataloaderSettings, PreviewSettings, TrainerSettings
from deepspeech2.text import Tokenizer
from deepspeech2.types import Padded

PREVIEWS = "data/preview"
_TRAIN = "train"
_FITTED_ON = 64  # utterances for a normalisation that is fitted to the data


def preview(config: DictConfig) -> int:
    """Write the preview, print where it is; returns 0.

    Raises:
        ConfigError: the config is none of training, or the folder contains something else.
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
    pages.check_folder(folder)
    use_threads(settings.threads)
    # the corpora as training reads them
    text_encoder: Tokenizer = create(group(config, "text_encoder"), "text_encoder")
    pipeline = _pipeline(config, text_encoder)
    examined = _examine(config, text_encoder, pipeline, settings.seed)
    # a few utterances, normalised as training does, though fitted to fewer of them
    utterances, front_end = examined[0].utterances, pipeline.front_end
    samples = pages.read_samples(utterances, front_end.sample_rate, max(options.utterances, 1))
    fitted_on = pages.read_samples(utterances, front_end.sample_rate, _FITTED_ON)
    front_end.fit(Padded.stack([sample.waveform]) for sample in fitted_on)
    steps = pages.steps(front_end, group(config, "transforms"))
    examples = pages.draw_examples(
        front_end, steps, samples, draws=options.draws, seed=settings.seed
    )
    # the page, and the same for programs
    charts = pages.charts(examined, pipeline)
    unknown = pages.unknown_characters(examined, text_encoder)
    command = without_secrets(shlex.join(["python", *sys.argv]))
    page = pages.render(f"Training data of {name}", command, examined, unknown, examples, charts)
    numbers = {each.name: each.numbers(unknown) for each in examined}
    pages.write(folder, page, examples, charts, numbers)
    for each in examined:
        print(
            f"{each.name} ({one_line(each.corpus.name)}): {len(each.utterances):,} utterances,"
            f" {each.hours:.2f} h, {len(each.batches):,} batches with"
            f" {100 * each.padding:.1f} % padding, {each.n_left_out:,} left out"
        )
    print(one_line(f"open in a browser: {folder / pages.PAGE}"))
    return 0


def _config_name(config: DictConfig) -> str:
    """As it was named on the command line; the run's name where there was none."""
    if HydraConfig.initialized():
        return str(HydraConfig.get().job.config_name)
    return str(group(config, "writer").get("run_name"))


def _pipeline(config: DictConfig, text_encoder: Tokenizer) -> Pipeline:
    """Front end and network, whose weights do not matter here."""
    front_end = create(group(config, "transforms"), "transforms")
    derived = {"n_features": front_end.n_features, "n_tokens": text_encoder.n_tokens}
    return Pipeline(front_end, create(group(config, "model"), "model", **derived))


def _examine(
    config: DictConfig, text_encoder: Tokenizer, pipeline: Pipeline, seed: int
) -> list[CorpusStatistics]:
    """Every corpus of the config, train first."""
    named = group(config, "datasets")
    if not named.get(_TRAIN):
        raise ConfigError("datasets.train must name a corpus to learn from")
    dataloader = settings_of(config, DataloaderSettings)
    nodes = {n: map_corpora(_present, each, f"datasets.{n}") for n, each in named.items()}
    opened = corpora(nodes)
    opened |= apart(opened)  # a mix, and each corpus of it
    examined = []
    for name in (_TRAIN, *(name for name in opened if name != _TRAIN)):
        each = pages.examine(name, opened[name], text_encoder, pipeline, dataloader, seed)
        if name == _TRAIN and not each.utterances:
            raise ManifestError(
                f"{each.corpus.name} has no utterance to learn from: {', '.join(each.left_out)}"
            )
        examined.append(each)
    return examined


def _present(entry: Any, key: str) -> Any:
    """A corpus' entry that downloads nothing, unless it says so itself."""
    if isinstance(entry, Mapping) and TARGET in entry and takes(entry, key, "download"):
        return {"download": False, **entry}
    return entry
