"""Calibration of confidences on a development set, from its config."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from deepspeech2 import checkpoint
from deepspeech2.config.components import group, settings_of
from deepspeech2.config.loaders import corpora
from deepspeech2.config.recognizer import checkpoint_to_fit, loader_from
from deepspeech2.datasets.corpus import Corpus
from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.extras.calibration.fit import Fit, Judgement, fit, judge
from deepspeech2.extras.calibration.report import (
    Calibrated,
    Parts,
    coverage_table,
    draw,
    error_table,
    numbers,
)
from deepspeech2.files import write_whole
from deepspeech2.inference import Recognizer
from deepspeech2.inference.calibration import KEY, stored
from deepspeech2.settings import CalibratorSettings
from deepspeech2.types import Failure

log = logging.getLogger(__name__)


def calibrate(config: DictConfig) -> int:
    """Fit, print, draw and write; return 1 if any audio could not be read, otherwise 0.

    Parts whose name begins with "test" are only reported on.
    """
    settings = settings_of(config, CalibratorSettings)
    to_fit = checkpoint_to_fit(config, "calibration", write=settings.write)
    with to_fit as (path, _, recognizer):
        parts = corpora(group(config, "datasets"))
        if all(name.startswith("test") for name in parts):
            raise ConfigError(
                "datasets must name a part to fit on, but those whose name begins with test are"
                f" only reported on: {', '.join(parts)}"
            )
        open_loader = loader_from(config)
        judged: dict[str, dict[str, list[Judgement]]] = {}  # by part and decoder
        failures: list[Failure] = []
        for name, corpus in parts.items():
            known = [utterance for utterance in corpus if utterance.text is not None]
            if not known:
                raise ManifestError(
                    f"{corpus.name} has no utterance with a reference among its {len(corpus)}:"
                    " what is right only transcripts can show"
                )
            loader = open_loader(recognizer, known)
            judged[name], broken = judge(recognizer, loader, corpus.name)
            failures += broken
        fits, calibrated = _fit(judged, parts, settings.folds)
        _report(path, fits, calibrated, settings)
        if settings.write:
            _write(path, fits, recognizer)
    for failure in failures:
        log.error("%s: %s", failure.utterance.audio, failure.reason)
    return 1 if failures else 0


def _fit(
    judged: Mapping[str, Mapping[str, list[Judgement]]], parts: Mapping[str, Corpus], folds: int
) -> tuple[dict[str, Fit], dict[str, dict[str, Calibrated]]]:
    """Fit each decoder; return fits, and the result by part: cross-validated for those fitted."""
    fits: dict[str, Fit] = {}
    calibrated: dict[str, dict[str, Calibrated]] = {}
    fitted = [name for name in judged if not name.startswith("test")]
    title = "+".join(parts[name].name for name in fitted) + ", cross-validated"
    for decoder in judged[fitted[0]]:
        together = [each for name in fitted for each in judged[name][decoder]]
        result = fits[decoder] = fit(together, folds)
        calibrated.setdefault(title, {})[decoder] = Calibrated(together, result.held_out)
        for name in judged:
            if name not in fitted:
                alone = judged[name][decoder]
                raw = [value for each in alone for value in each.confidences]
                calibrated.setdefault(parts[name].name, {})[decoder] = Calibrated(
                    alone, result.chosen(raw)
                )
    return fits, calibrated


def _report(
    path: Path, fits: Mapping[str, Fit], calibrated: Parts, settings: CalibratorSettings
) -> None:
    """Print what was fitted and why; draw it and write all numbers beside the checkpoint."""
    for name, result in fits.items():
        chosen, losses = result.chosen, result.losses
        with_bias = losses["with bias"] < losses["temperature"]
        print(
            f"{name}: temperature {chosen.temperature:.3f}"
            + f" and bias {chosen.bias:+.3f}" * with_bias
            + f", for held-out words cost {losses['temperature']:.4f} nats with temperature alone"
            f" and {losses['with bias']:.4f} with a bias ({losses['raw']:.4f} before)"
        )
    thresholds = settings.reject_below
    print(f"\n{error_table(calibrated)}\n\n{coverage_table(calibrated, thresholds)}\n")
    picture, table = path.with_suffix(".calibration.png"), path.with_suffix(".calibration.json")
    last = list(calibrated)[-1]
    draw(calibrated[last], picture)
    write_whole(table, numbers(calibrated, fits, thresholds))
    print(f"reliability of {last}: {picture}\nall numbers: {table}")


def _write(path: Path, fits: Mapping[str, Fit], recognizer: Recognizer) -> None:
    """Add what was fitted to the checkpoint; what it contains of other decoders stays."""

    def add(content: dict[str, Any]) -> None:
        before = content.get(KEY)
        calibrations = dict(before) if isinstance(before, Mapping) else {}
        for decoder in recognizer.decoders:
            calibrations[decoder.name] = stored(fits[decoder.name].chosen, decoder)
        content[KEY] = calibrations

    checkpoint.change(path, recognizer.origin, add)
    print(f"{path} now has calibrated confidences")
