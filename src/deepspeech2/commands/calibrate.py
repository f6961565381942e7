"""Calibrating confidences on a development set, from its config."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from deepspeech2 import checkpoint
from deepspeech2.config.components import group, settings_of
from deepspeech2.config.held_out import refuse_training_data
from deepspeech2.config.loaders import corpora, no_labels, open_loader
from deepspeech2.config.recognizer import recognizer_from
from deepspeech2.datasets.corpus import Corpus
from deepspeech2.engine import use_threads
from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.evaluation import Recognized, evaluate
from deepspeech2.extras.calibration.measure import Fit, Judged, fit, judge
from deepspeech2.extras.calibration.report import (
    Measured,
    coverage_table,
    draw,
    error_table,
    numbers,
)
from deepspeech2.files import write_whole
from deepspeech2.inference import Recognizer
from deepspeech2.inference.calibration import KEY, stored
from deepspeech2.paths import resolve
from deepspeech2.settings import CalibratorSettings, DataloaderSettings, InferencerSettings
from deepspeech2.types import Failure

log = logging.getLogger(__name__)
_Heard = dict[str, list[Judged]]  # by decoder


def calibrate(config: DictConfig) -> int:
    """Fit, print, draw and write; 1 if any audio could not be read, otherwise 0.

    Parts whose name begins with "test" are only reported on.
    """
    settings = settings_of(config, InferencerSettings)
    calibrator = settings_of(config, CalibratorSettings)
    use_threads(settings.threads)
    path = resolve(settings.from_pretrained)
    if calibrator.write:
        checkpoint.check_writable(path)
    with checkpoint.reserved(path):
        return _calibrate(config, settings, calibrator, path)


def _calibrate(
    config: DictConfig, settings: InferencerSettings, calibrator: CalibratorSettings, path: Path
) -> int:
    named = group(config, "datasets")
    refuse_training_data(named, checkpoint.load(path), path, "calibration")
    recognizer = recognizer_from(str(path), settings.device, group(config, "decoder"))
    parts = corpora(named)
    if all(name.startswith("test") for name in parts):
        raise ConfigError(
            "datasets must name a part to fit on, but those whose name begins with test are only"
            f" reported on: {', '.join(parts)}"
        )
    dataloader = settings_of(config, DataloaderSettings)
    heard: dict[str, _Heard] = {}
    failures: list[Failure] = []
    for name, corpus in parts.items():
        heard[name] = _listen(recognizer, corpus, dataloader, failures)
    fits, measured = _measure(recognizer, heard, parts, calibrator)
    _report(path, fits, measured, calibrator)
    if calibrator.write:
        _write(path, fits, recognizer)
    for failure in failures:
        log.error("%s: %s", failure.utterance.audio, failure.reason)
    return 1 if failures else 0


def _listen(
    recognizer: Recognizer,
    corpus: Corpus,
    dataloader: DataloaderSettings,
    failures: list[Failure],
) -> _Heard:
    """What each decoder heard of the utterances that have a reference."""
    found: _Heard = {decoder.name: [] for decoder in recognizer.decoders}
    known = tuple(utterance for utterance in corpus if utterance.text is not None)
    if not known:
        raise ManifestError(
            f"{corpus.name} has no utterance with a reference among its {len(corpus)}: what is"
            " right can only be told by transcripts"
        )

    def take(result: Recognized) -> None:
        for name, judged in found.items():
            judged.append(judge(recognizer, result, name))

    loader = open_loader(dataloader, known, no_labels, recognizer.sample_rate, shuffle=False)
    evaluation = evaluate(
        recognizer.pipeline,
        loader,
        recognizer.decoders,
        recognizer.text_encoder,
        recognizer.device,
        title=corpus.name,
        on_result=take,
    )
    failures += evaluation.failures
    return found


def _measure(
    recognizer: Recognizer,
    heard: Mapping[str, _Heard],
    parts: Mapping[str, Corpus],
    calibrator: CalibratorSettings,
) -> tuple[dict[str, Fit], dict[str, dict[str, Measured]]]:
    """A fit for each decoder, and what it does to each part: on its own by cross-validation."""
    fits: dict[str, Fit] = {}
    measured: dict[str, dict[str, Measured]] = {}
    fitted = [name for name in heard if not name.startswith("test")]
    title = "+".join(parts[name].name for name in fitted) + ", cross-validated"
    for decoder in recognizer.decoders:
        everything = [each for name in fitted for each in heard[name][decoder.name]]
        found = fits[decoder.name] = fit(everything, calibrator.folds)
        measured.setdefault(title, {})[decoder.name] = Measured(everything, found.held_out)
        for name, by_decoder in heard.items():
            if name not in fitted:
                judged = by_decoder[decoder.name]
                values = [value for each in judged for value in each.confidences]
                own = measured.setdefault(parts[name].name, {})
                own[decoder.name] = Measured(judged, found.chosen(values))
    return fits, measured


def _report(
    path: Path,
    fits: Mapping[str, Fit],
    measured: Mapping[str, Mapping[str, Measured]],
    calibrator: CalibratorSettings,
) -> None:
    """Print what was fitted and why, and leave a picture and numbers beside the checkpoint."""
    for name, found in fits.items():
        print(f"{name}: {_reason(found)}")
    thresholds: Sequence[float] = calibrator.reject_below
    print(f"\n{error_table(measured)}\n\n{coverage_table(measured, thresholds)}\n")
    picture, table = path.with_suffix(".calibration.png"), path.with_suffix(".calibration.json")
    draw(list(measured.values())[-1], picture)
    chosen = {name: found.chosen for name, found in fits.items()}
    losses = {name: found.losses for name, found in fits.items()}
    write_whole(table, numbers(measured, chosen, losses, thresholds))
    print(f"reliability of {list(measured)[-1]}: {picture}\nall numbers: {table}")


def _reason(found: Fit) -> str:
    """What was chosen, and the likelihoods that it was chosen by."""
    chosen, losses = found.chosen, found.losses
    with_bias = losses["with bias"] < losses["temperature"]
    kept = f"temperature {chosen.temperature:.3f}" + f" and bias {chosen.bias:+.3f}" * with_bias
    return (
        f"{kept}, for held-out words cost {losses['temperature']:.4f} nats with temperature alone"
        f" and {losses['with bias']:.4f} with a bias ({losses['raw']:.4f} before)"
    )


def _write(path: Path, fits: Mapping[str, Fit], recognizer: Recognizer) -> None:
    """Add what was fitted to the checkpoint; what it holds of other decoders stays."""

    def add(content: dict[str, Any]) -> None:
        before = content.get(KEY)
        kept = dict(before) if isinstance(before, Mapping) else {}
        for decoder in recognizer.decoders:
            kept[decoder.name] = stored(fits[decoder.name].chosen, decoder)
        content[KEY] = kept

    checkpoint.change(path, recognizer.origin, add)
    print(f"{path} now tells calibrated confidences")
