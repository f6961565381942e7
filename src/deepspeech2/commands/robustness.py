"""Measurement of robustness to noise, from its config."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from omegaconf import DictConfig

from deepspeech2.config.components import group, plain, settings_of
from deepspeech2.config.loaders import corpora
from deepspeech2.config.recognizer import loader_from, recognizer_from
from deepspeech2.datasets.corpus import Corpus
from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.extras.robustness.measure import (
    Candidate,
    FixedNoise,
    Measured,
    measure,
)
from deepspeech2.extras.robustness.report import claim, report, tables, write
from deepspeech2.paths import resolve
from deepspeech2.settings import RobustnessSettings
from deepspeech2.transforms import NoiseFolder
from deepspeech2.types import Utterance

log = logging.getLogger(__name__)


def robustness(config: DictConfig) -> int:
    """Measure, print and write; return 1 if any audio could not be read, otherwise 0."""
    settings = settings_of(config, RobustnessSettings)
    folder = resolve(settings.save_path)
    claim(folder, override=settings.override)
    paths = _checkpoints(config)
    noise_dir = str(config.noise_dir)
    recordings = NoiseFolder(noise_dir, part=settings.part)
    recognizers = {name: recognizer_from(config, path, settings) for name, path in paths.items()}
    parts = corpora(group(config, "datasets"))
    utterances = _with_reference(parts)
    open_loader = loader_from(config)
    noises = {  # recordings are read once for each sample rate
        rate: FixedNoise(
            NoiseFolder(noise_dir, part=settings.part, sample_rate=rate).clips, settings.seed
        )
        for rate in {each.sample_rate for each in recognizers.values()}
    }
    candidates = {
        name: Candidate(each, open_loader(each, utterances), noises[each.sample_rate])
        for name, each in recognizers.items()
    }
    measured = measure(candidates, settings.snrs_db)
    result = report(measured, settings.snrs_db, class_snr=settings.class_snr, seed=settings.seed)
    results = next(iter(measured.values())).results
    n_clips = len(next(iter(noises.values())).clips)
    title = (
        f"{len(results)} utterances ({sum(each.words for each in results):,} words) of"
        f" {', '.join(corpus.name for corpus in parts.values())}; noise from {n_clips} of"
        f" {recordings.n_found} recordings (part {settings.part}); seed {settings.seed};"
        f" decoders: {', '.join(f'{name} {each.decoder}' for name, each in measured.items())}."
    )
    described = {
        "checkpoints": {
            name: {"path": path, "decoder": measured[name].decoder} for name, path in paths.items()
        },
        "noise": {"folder": noise_dir, "part": settings.part, "seed": settings.seed},
    }
    write(result, folder, title, described)
    print(f"{title}\n\n{tables(result)}\n\ntable, numbers and plot: {folder}")
    return 1 if _log_failures(parts, measured) else 0


def _checkpoints(config: DictConfig) -> dict[str, str]:
    """Return the paths by name, or raise ConfigError if there are none, or something else."""
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
    """Return the utterances with a reference, or raise ManifestError if there are none."""
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


def _log_failures(parts: Mapping[str, Corpus], measured: Mapping[str, Measured]) -> int:
    """Log every utterance that could not be read; return how many."""
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
