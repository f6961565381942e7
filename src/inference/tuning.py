"""A search for the weights of a language model."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace

from tqdm import tqdm

from src.decoding import LanguageModelDecoder
from src.errors import ConfigError
from src.inference.emissions import Emissions
from src.metrics.edits import EditCounts, character_edits, word_edits
from src.types import is_number

_MANY_TIES = 0.1
"""Share of the settings that may have the lowest WER before it is reported."""


@dataclass(frozen=True, slots=True)
class TunerSettings:
    """The config group ``tuner``.

    Attributes:
        lm_weight, word_score: the values of a grid beside the decoder's own.
        prior_weight: values that are tried at its best point.
        refinements: how often the steps of these three are halved around their best point.
        unknown_score, beam_size: values that are tried there, one after the other.
        search_beam_size: beams while weights are searched.
        tolerance: the smallest beam whose WER is at most this much above the best is taken.
        emissions_dir: where the network's output is kept.
        write: whether the best goes into the checkpoint.

    Raises:
        ConfigError: a list is empty, or a value is out of range.
    """

    lm_weight: Sequence[float]
    word_score: Sequence[float]
    prior_weight: Sequence[float]
    unknown_score: Sequence[float | None]
    beam_size: Sequence[int]
    refinements: int = 2
    search_beam_size: int = 30
    tolerance: float = 0.0005
    emissions_dir: str = "data/emissions"
    write: bool = True

    def __post_init__(self) -> None:
        for name in ("lm_weight", "word_score", "prior_weight", "unknown_score", "beam_size"):
            value = getattr(self, name)
            if isinstance(value, str) or not isinstance(value, Sequence) or not value:
                raise ConfigError(f"tuner.{name} must be a list of values, but is {value!r}")
            least = 0.0 if name in ("lm_weight", "prior_weight") else -math.inf
            for each in value:
                if name == "unknown_score" and each is None:
                    continue
                most = 100.0 if name == "lm_weight" else math.inf  # as the decoder has it
                if not is_number(each) or not (least <= each < most and math.isfinite(each)):
                    or_null = " or null" if name == "unknown_score" else ""
                    bound = "" if least else ", 0 or more" if most == math.inf else ", 0 to 100"
                    raise ConfigError(
                        f"tuner.{name} must hold numbers{or_null}{bound}, but has {each!r}"
                    )
        if type(self.refinements) is not int or self.refinements < 0:
            raise ConfigError(f"tuner.refinements must be 0 or more, but is {self.refinements!r}")
        if not is_number(self.tolerance) or not self.tolerance >= 0:
            raise ConfigError(f"tuner.tolerance must be 0 or more, but is {self.tolerance!r}")
        for beam in (self.search_beam_size, *self.beam_size):
            if type(beam) is not int or beam < 1:
                raise ConfigError(
                    "tuner.beam_size and tuner.search_beam_size must be whole numbers of at least"
                    f" 1, but have {beam!r}"
                )


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
