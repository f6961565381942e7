"""A search for the weights of a language model."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace

from tqdm import tqdm

from deepspeech2.decoding import LanguageModelDecoder
from deepspeech2.inference.emissions import Emissions
from deepspeech2.metrics.edits import EditCounts, character_edits, word_edits
from deepspeech2.settings import TunerSettings

_MANY_TIES = 0.1
"""Share of the settings that may have the lowest WER before it is reported."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Weights, and what they reached; ``frames_per_second`` on this machine."""

    lm_weight: float
    word_score: float
    prior_weight: float
    unknown_score: float | None
    beam_size: int
    wer: float = 1.0
    cer: float = 1.0
    frames_per_second: float = 0.0

    @property
    def weights(self) -> dict[str, float | int | None]:
        """The options of the decoder."""
        return {
            key: value
            for key, value in asdict(self).items()
            if key not in ("wer", "cer", "frames_per_second")
        }


def tune(
    decoder: LanguageModelDecoder,
    emissions: Emissions,
    settings: TunerSettings,
    *,
    progress: bool = True,
) -> tuple[Trial, list[Trial]]:
    """The best weights and all that were tried, in their order.

    The decoder's own weights and a grid over weight and word score; at the best point the weights
    of the prior; all three refined around their best point; there the scores for unknown words;
    there the beams. Each search stays where it starts unless something has a lower WER; of several
    that have, it takes the one with the lowest CER, and then the one nearest to the start.
    """
    tried: dict[Trial, Trial] = {}
    bar = tqdm(desc="tuning", unit="trial", disable=not progress, leave=False)

    def best_of(candidates: Iterable[Trial]) -> Trial:
        results: list[Trial] = []
        for candidate in candidates:
            if candidate not in tried:
                tried[candidate] = _measure(decoder, emissions, candidate)
                bar.update()
            results.append(tried[candidate])
            least = min(tried.values(), key=lambda trial: trial.wer)
            bar.set_postfix_str(f"best WER {100 * least.wer:.2f} %")
        start = results[0]
        best = min(results, key=lambda trial: (trial.wer, trial.cer, _distance(trial, start)))
        return best if best.wer < start.wer else start

    with bar:
        best = _weigh(best_of, decoder, settings)
        start = _again(best)
        scores = [start.unknown_score, *settings.unknown_score]
        best = best_of(replace(start, unknown_score=score) for score in scores)
        start = _again(best)
        beams = sorted({*settings.beam_size, settings.search_beam_size})
        widest = [best_of([replace(start, beam_size=beam)]) for beam in beams]
    least = min(trial.wer for trial in widest)
    best = next(trial for trial in widest if trial.wer <= least + settings.tolerance)
    return best, list(tried.values())


def ties(tried: Sequence[Trial], search_beam_size: int) -> str | None:
    """A sentence about a development set on which too many weights are equally good."""
    searched = [trial for trial in tried if trial.beam_size == search_beam_size]
    least = min(trial.wer for trial in searched)
    n_ties = sum(trial.wer == least for trial in searched)
    if n_ties < max(3, _MANY_TIES * len(searched)):
        return None
    return (
        f"{n_ties} of {len(searched)} settings have the same WER: the development set is too small"
        " or too easy to choose by; the earlier settings stay where nothing is better"
    )


def _again(trial: Trial) -> Trial:
    """The same weights, not yet measured."""
    return replace(trial, wer=1.0, cer=1.0, frames_per_second=0.0)


def _distance(trial: Trial, start: Trial) -> float:
    """How far the weights are from those of ``start``."""
    return (
        abs(trial.lm_weight - start.lm_weight)
        + abs(trial.word_score - start.word_score)
        + abs(trial.prior_weight - start.prior_weight)
    )


def _weigh(
    best_of: Callable[[Iterable[Trial]], Trial],
    decoder: LanguageModelDecoder,
    settings: TunerSettings,
) -> Trial:
    """The best weight of the model, word score and weight of the prior."""
    weights, words = sorted(set(settings.lm_weight)), sorted(set(settings.word_score))
    priors = sorted(set(settings.prior_weight))
    fused, beam = decoder.fused, settings.search_beam_size
    start = Trial(fused.weight, fused.word_score, decoder.prior.weight, fused.unknown_score, beam)
    grid = itertools.product(weights, words)
    best = best_of(
        [
            start,
            *(Trial(weight, word, priors[0], start.unknown_score, beam) for weight, word in grid),
        ]
    )
    best = best_of([_again(best), *(replace(_again(best), prior_weight=prior) for prior in priors)])
    steps = [_step(weights), _step(words), _step(priors)]
    for _ in range(settings.refinements):
        steps = [step / 2 for step in steps]
        around = itertools.product(*((-step, 0.0, step) if step else (0.0,) for step in steps))
        start = _again(best)
        corners = [
            replace(
                start,
                lm_weight=max(0.0, round(start.lm_weight + weight, 4)),
                word_score=round(start.word_score + word, 4),
                prior_weight=max(0.0, round(start.prior_weight + prior, 4)),
            )
            for weight, word, prior in around
        ]
        best = best_of([start, *corners])  # which stays where nothing is better
    return best


def _step(values: Sequence[float]) -> float:
    """The mean distance of ascending values."""
    return (values[-1] - values[0]) / (len(values) - 1) if len(values) > 1 else 0.0


def _measure(decoder: LanguageModelDecoder, emissions: Emissions, trial: Trial) -> Trial:
    reweighed = decoder.reweighed(
        lm_weight=trial.lm_weight,
        word_score=trial.word_score,
        unknown_score=trial.unknown_score,
        prior_weight=trial.prior_weight,
        beam_size=trial.beam_size,
        nbest=1,
    )
    counts, characters = EditCounts(), EditCounts()
    start = time.perf_counter()
    for log_probs, references in emissions.batches():
        for reference, [best, *_] in zip(references, reweighed(log_probs), strict=True):
            counts += word_edits(reference, best.text)
            characters += character_edits(reference, best.text)
    speed = emissions.n_frames / (time.perf_counter() - start)
    return replace(trial, wer=counts.rate, cer=characters.rate, frames_per_second=speed)
