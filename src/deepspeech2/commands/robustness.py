"""Robustness to noise, measured as a config says."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig

from deepspeech2.config.components import group, plain, settings_of
from deepspeech2.config.loaders import corpora, no_labels, open_loader
from deepspeech2.config.recognizer import recognizer_from
from deepspeech2.datasets.corpus import Corpus
from deepspeech2.engine import use_threads
from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.extras.robustness.measure import (
    FixedNoise,
    Listener,
    Measured,
    measure,
)
from deepspeech2.extras.robustness.report import claim, report, tables, write
from deepspeech2.inference import Recognizer
from deepspeech2.paths import resolve
from deepspeech2.settings import DataloaderSettings, RobustnessSettings
from deepspeech2.transforms import NoiseFolder
from deepspeech2.types import Utterance

log = logging.getLogger(__name__)


def robustness(config: DictConfig) -> int:
    """Measure, print and write; 1 if any audio could not be read, otherwise 0."""
    settings = settings_of(config, RobustnessSettings)
    folder = resolve(settings.save_path)
    claim(folder, override=settings.override)
    paths = _checkpoints(config)
    use_threads(settings.threads)
    recordings = NoiseFolder(str(config.noise_dir), part=settings.part)
    recognizers = {
        name: recognizer_from(path, settings.device, group(config, "decoder"))
        for name, path in paths.items()
    }
    parts = corpora(group(config, "datasets"))
    listeners = _listeners(config, recognizers, _with_reference(parts), settings)
    measured = measure(listeners, settings.snrs_db)
    found = report(measured, settings.snrs_db, class_snr=settings.class_snr, seed=settings.seed)
    heard = next(iter(measured.values())).heard
    n_clips = len(next(iter(listeners.values())).noise.clips)
    title = (
        f"{len(heard)} utterances ({sum(each.words for each in heard):,} words) of"
        f" {', '.join(corpus.name for corpus in parts.values())}; noise from {n_clips} of"
        f" {recordings.n_found} recordings (part {settings.part}); seed {settings.seed};"
        f" decoders: {', '.join(f'{name} {each.decoder}' for name, each in measured.items())}."
    )
    write(found, folder, title, _described(paths, measured, str(config.noise_dir), settings))
    print(f"{title}\n\n{tables(found)}\n\ntable, numbers and plot: {folder}")
    return 1 if _note_failures(parts, measured) else 0


def _listeners(
    config: DictConfig,
    recognizers: Mapping[str, Recognizer],
    utterances: tuple[Utterance, ...],
    settings: RobustnessSettings,
) -> dict[str, Listener]:
    """Each recogniser with corpus and noise; recordings are read once for each sample rate."""
    dataloader = settings_of(config, DataloaderSettings)
    noises = {
        rate: FixedNoise(
            NoiseFolder(str(config.noise_dir), part=settings.part, sample_rate=rate).clips,
            settings.seed,
        )
        for rate in {each.sample_rate for each in recognizers.values()}
    }
    return {
        name: Listener(
            each,
            open_loader(dataloader, utterances, no_labels, each.sample_rate, shuffle=False),
            noises[each.sample_rate],
        )
        for name, each in recognizers.items()
    }


def _checkpoints(config: DictConfig) -> dict[str, str]:
    """Paths by name; ConfigError if there is none, or something else."""
    node = plain(config.get("checkpoints"))
    if not isinstance(node, Mapping) or not node:
        raise ConfigError(
            "checkpoints must name files, as in 'checkpoints={clean: a.pth, noisy: b.pth}',"
            f" but is {node!r}"
        )
    wrong = {name: path for name, path in node.items() if not isinstance(path, str) or not path}
    for name, path in wrong.items():
        raise ConfigError(f"checkpoints.{name} must be the path of a file, but is {path!r}")
    return {str(name): path for name, path in node.items()}


def _with_reference(parts: Mapping[str, Corpus]) -> tuple[Utterance, ...]:
    """The utterances of all corpora that can be scored; ManifestError if there are none."""
    everything = [utterance for corpus in parts.values() for utterance in corpus.utterances]
    known = tuple(utterance for utterance in everything if utterance.text is not None)
    if not known:
        raise ManifestError(
            f"datasets has no utterance with a reference among its {len(everything)}: errors can"
            " only be counted against transcripts"
        )
    if len(known) < len(everything):
        log.warning("%d utterances have no reference", len(everything) - len(known))
    return known


def _described(
    paths: Mapping[str, str],
    measured: Mapping[str, Measured],
    noise_dir: str,
    settings: RobustnessSettings,
) -> dict[str, Any]:
    return {
        "checkpoints": {
            name: {"path": path, "decoder": measured[name].decoder} for name, path in paths.items()
        },
        "noise": {"folder": noise_dir, "part": settings.part, "seed": settings.seed},
    }


def _note_failures(parts: Mapping[str, Corpus], measured: Mapping[str, Measured]) -> int:
    """Name every utterance that could not be read; returns how many."""
    broken = {
        failure.utterance.id: failure.reason
        for each in measured.values()
        for failure in each.failures
    }
    for corpus in parts.values():
        for exclusion in corpus.exclusions:
            if exclusion.utterance is not None:
                broken[exclusion.utterance.id] = exclusion.reason
    for name, reason in broken.items():
        log.error("%s: %s", name, reason)
    return len(broken)
