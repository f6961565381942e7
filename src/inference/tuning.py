"""A search for the weights of a language model."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace

from tqdm import tqdm

from src.decoding import LanguageModelDecoder
from src.errors import ConfigError
from src.inference.emissions import Emissions
from src.metrics.edits import EditCounts, word_edits


@dataclass(frozen=True, slots=True)
class TunerSettings:
    """The config group ``tuner``.

    Attributes:
        lm_weight, word_score: the values of a grid.
        unknown_score, beam_size: values that are tried at its best point, one after the other.
        refinements: how often the steps of the grid are halved around its best point.
        search_beam_size: beams while weights are searched.
        tolerance: the smallest beam whose WER is at most this much above the best is taken.
        emissions_dir: where the network's output is kept.
        write: whether the best goes into the checkpoint.

    Raises:
        ConfigError: a list is empty, or a value is out of range.
    """

    lm_weight: Sequence[float]
    word_score: Sequence[float]
    unknown_score: Sequence[float | None]
    beam_size: Sequence[int]
    refinements: int = 2
    search_beam_size: int = 30
    tolerance: float = 0.0005
    emissions_dir: str = "data/emissions"
    write: bool = True

    def __post_init__(self) -> None:
        for name in ("lm_weight", "word_score", "unknown_score", "beam_size"):
            value = getattr(self, name)
            if isinstance(value, str) or not isinstance(value, Sequence) or not value:
                raise ConfigError(f"tuner.{name} must be a list of values, but is {value!r}")
        if self.refinements < 0:
            raise ConfigError(f"tuner.refinements must be 0 or more, but is {self.refinements}")
        if min(self.search_beam_size, *self.beam_size) < 1:
            raise ConfigError(f"tuner.beam_size must be at least 1, but is {self.beam_size}")


@dataclass(frozen=True, slots=True)
class Trial:
    """Weights, and what they reached; ``frames_per_second`` on this machine."""

    lm_weight: float
    word_score: float
    unknown_score: float | None
    beam_size: int
    wer: float = 1.0
    frames_per_second: float = 0.0

    @property
    def weights(self) -> dict[str, float | int | None]:
        """The options of the decoder."""
        return {
            key: value
            for key, value in asdict(self).items()
            if key not in ("wer", "frames_per_second")
        }


def tune(
    decoder: LanguageModelDecoder,
    emissions: Emissions,
    settings: TunerSettings,
    *,
    progress: bool = True,
) -> tuple[Trial, list[Trial]]:
    """The best weights and all that were tried, in their order.

    A grid over weight and word score, refined around its best point; there the scores for
    unknown words; there the beams.
    """
    tried: dict[Trial, Trial] = {}
    bar = tqdm(desc="tuning", unit="trial", disable=not progress, leave=False)

    def best_of(candidates: Iterable[Trial]) -> Trial:
        results = []
        for candidate in candidates:
            if candidate not in tried:
                tried[candidate] = _measure(decoder, emissions, candidate)
                bar.update()
            results.append(tried[candidate])
            least = min(tried.values(), key=lambda trial: trial.wer)
            bar.set_postfix_str(f"best WER {100 * least.wer:.2f} %")
        return min(results, key=lambda trial: trial.wer)

    with bar:
        best = _search_plane(best_of, decoder, settings)
        start = replace(best, wer=1.0, frames_per_second=0.0)
        scores = [start.unknown_score, *settings.unknown_score]
        best = best_of(replace(start, unknown_score=score) for score in scores)
        start = replace(best, wer=1.0, frames_per_second=0.0)
        beams = sorted({*settings.beam_size, settings.search_beam_size})
        widest = [best_of([replace(start, beam_size=beam)]) for beam in beams]
    least = min(trial.wer for trial in widest)
    best = next(trial for trial in widest if trial.wer <= least + settings.tolerance)
    return best, list(tried.values())


def _search_plane(
    best_of: Callable[[Iterable[Trial]], Trial],
    decoder: LanguageModelDecoder,
    settings: TunerSettings,
) -> Trial:
    """The best weight and word score."""
    weights, words = sorted(set(settings.lm_weight)), sorted(set(settings.word_score))
    unknown = decoder.fused.unknown_score
    best = best_of(
        Trial(weight, word, unknown, settings.search_beam_size)
        for weight, word in itertools.product(weights, words)
    )
    steps = [_step(weights), _step(words)]
    for _ in range(settings.refinements):
        steps = [step / 2 for step in steps]
        around = itertools.product(*((-step, 0.0, step) if step else (0.0,) for step in steps))
        best = best_of(
            Trial(
                max(0.0, round(best.lm_weight + weight, 4)),
                round(best.word_score + word, 4),
                unknown,
                settings.search_beam_size,
            )
            for weight, word in list(around)
        )
    return best


def _step(values: Sequence[float]) -> float:
    """The mean distance of ascending values."""
    return (values[-1] - values[0]) / (len(values) - 1) if len(values) > 1 else 0.0


def _measure(decoder: LanguageModelDecoder, emissions: Emissions, trial: Trial) -> Trial:
    reweighed = decoder.reweighed(
        lm_weight=trial.lm_weight,
        word_score=trial.word_score,
        unknown_score=trial.unknown_score,
        beam_size=trial.beam_size,
        nbest=1,
    )
    counts = EditCounts()
    start = time.perf_counter()
    for log_probs, references in emissions.batches():
        for reference, [best, *_] in zip(references, reweighed(log_probs), strict=True):
            counts += word_edits(reference, best.text)
    speed = emissions.n_frames / (time.perf_counter() - start)
    return replace(trial, wer=counts.rate, frames_per_second=speed)
