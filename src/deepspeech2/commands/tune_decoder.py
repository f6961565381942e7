"""Tuning of a language model's weights on a development set, from a config."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from deepspeech2 import checkpoint
from deepspeech2.config.components import group, settings_of
from deepspeech2.config.loaders import corpora
from deepspeech2.config.recognizer import checkpoint_to_fit, loader_from
from deepspeech2.decoding import LanguageModelDecoder
from deepspeech2.decoding.prior import measured_prior
from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.extras.tuning import Trial, emissions, identity, ties, tune
from deepspeech2.files import write_whole
from deepspeech2.paths import resolve
from deepspeech2.settings import TunerSettings
from deepspeech2.writer.base import save_figure
from deepspeech2.writer.surface import surface

log = logging.getLogger(__name__)


def tune_decoder(config: DictConfig) -> int:
    """Search weights on the corpora of ``datasets``, draw them, write the best; return 0."""
    tuner = settings_of(config, TunerSettings)
    with checkpoint_to_fit(config, "tuning", write=tuner.write) as (path, content, recognizer):
        decoder = recognizer.decoder
        if not isinstance(decoder, LanguageModelDecoder):
            raise ConfigError(
                f"decoder={decoder.name} has no language model to weigh: choose decoder=beam_lm"
            )
        parts = corpora(group(config, "datasets")).values()
        utterances = tuple(utterance for corpus in parts for utterance in corpus.utterances)
        loader = loader_from(config)(recognizer, utterances)
        cache = resolve(tuner.emissions_dir) / f"{identity(path, utterances)}.pt"
        computed = emissions(recognizer, loader, cache, title="emissions")
        if not computed.references:
            raise ManifestError("datasets has no utterance with a reference to tune on")
        decoder = _as_it_was(decoder, content["recipe"].get("decoder"))
        decoder = decoder.with_prior(measured_prior(computed.log_probs))
        best, tried = tune(decoder, computed, tuner)
        chosen = best.applied(decoder, decoder.options.nbest)
        _report(path, best, tried, chosen.settings)
        if tied := ties(tried, tuner.search_beam_size):
            log.warning("%s", tied)
        if tuner.write:
            recipe = {"name": type(chosen).__name__, **chosen.settings}
            checkpoint.change(
                path, recognizer.origin, lambda content: content["recipe"].update(decoder=recipe)
            )
            print(f"{path} now decodes with these weights: python inference.py -cn=inference")
    return 0


def _as_it_was(decoder: LanguageModelDecoder, stored: Any) -> LanguageModelDecoder:
    """Return ``decoder`` with the checkpoint's weights, if they are for the same language model."""
    settings = decoder.settings
    if not isinstance(stored, dict) or stored.get("lm") != settings["lm"]:
        return decoder
    names = ("lm_weight", "word_score", "unknown_score", "prior_weight")
    weights = {name: stored.get(name, settings[name]) for name in names}
    options = decoder.options
    return decoder.reweighed(**weights, beam_size=options.beam_size, nbest=options.nbest)


def _report(path: Path, best: Trial, tried: list[Trial], settings: dict[str, Any]) -> None:
    """Print the best, draw the surface, and list all trials beside the checkpoint."""
    plane: dict[tuple[float, float], float] = {}  # with the best weight of the prior
    for trial in tried:
        if (trial.beam_size, trial.unknown_score) == (tried[0].beam_size, tried[0].unknown_score):
            at = trial.lm_weight, trial.word_score
            plane[at] = min(trial.wer, plane.get(at, trial.wer))
    beams = [
        (float(trial.beam_size), trial.wer, trial.frames_per_second)
        for trial in tried
        if replace(trial, beam_size=best.beam_size) == best
    ]
    picture = path.with_suffix(".tuning.png")
    points = [(*at, wer) for at, wer in plane.items()]
    save_figure(surface(points, beams, (best.lm_weight, best.word_score, best.wer)), picture)
    table = path.with_suffix(".tuning.json")
    write_whole(
        table,
        json.dumps({"decoder": settings, "trials": [asdict(trial) for trial in tried]}, indent=1),
    )
    print(
        f"best of {len(tried)}: WER {100 * best.wer:.2f} % with lm_weight={best.lm_weight}"
        f" word_score={best.word_score} prior_weight={best.prior_weight}"
        f" unknown_score={best.unknown_score} beam_size={best.beam_size}"
        f" ({best.frames_per_second:,.0f} frames/s)\n"
        f"surface: {picture}\nall trials: {table}"
    )
