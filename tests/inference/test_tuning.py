"""The search for weights stays where nothing is better, and finds the bottom of a bowl."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest

from deepspeech2.extras import tuning
from deepspeech2.extras.tuning import Trial, ties, tune
from deepspeech2.settings import TunerSettings

SETTINGS = TunerSettings(
    lm_weight=[0.0, 0.5, 1.0],
    word_score=[-1.0, 0.0, 1.0, 2.0],
    prior_weight=[0.0, 0.3, 0.6],
    unknown_score=[-10.0, None],
    beam_size=[10, 30, 100],
)
DECODER = SimpleNamespace(
    fused=SimpleNamespace(weight=3.0, word_score=4.0, unknown_score=-5.0),
    prior=SimpleNamespace(weight=0.2),
)


@pytest.fixture
def tuned(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Trial], float]], Trial]:
    """The best trial for an error rate as a function of the weights."""

    def run(rate: Callable[[Trial], float]) -> Trial:
        monkeypatch.setattr(
            tuning,
            "_measure",
            lambda decoder, emissions, trial: replace(trial, wer=rate(trial)),
        )
        best, tried = tune(DECODER, None, SETTINGS, progress=False)  # type: ignore[arg-type]
        assert len(tried) == len(set(tried))
        assert best.wer == min(trial.wer for trial in tried)
        return best

    return run


def test_what_is_there_stays_where_nothing_is_better(
    tuned: Callable[[Callable[[Trial], float]], Trial],
) -> None:
    best = tuned(lambda trial: 0.05)
    assert (best.lm_weight, best.word_score, best.prior_weight) == (3.0, 4.0, 0.2)
    assert (best.unknown_score, best.beam_size) == (-5.0, 10)  # the narrowest that is as good


def test_characters_decide_among_equal_word_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """And then the distance to what is there; the grid's first point is no language model."""

    def measure(decoder: object, emissions: object, trial: Trial) -> Trial:
        wer = 0.05 if trial.word_score == 4.0 else 0.01
        return replace(trial, wer=wer, cer=0.02 if trial.lm_weight == 0.0 else 0.003)

    monkeypatch.setattr(tuning, "_measure", measure)
    best, tried = tune(DECODER, None, SETTINGS, progress=False)  # type: ignore[arg-type]
    assert (best.lm_weight, best.word_score) == (1.0, 2.0)
    told = ties(tried, SETTINGS.search_beam_size)
    assert told is not None
    assert "settings have the same WER: the development set is too small" in told


def test_a_single_best_point_is_no_tie() -> None:
    tried = [Trial(float(weight), 0.0, 0.0, None, 30, wer=0.1 * weight) for weight in range(9)]
    assert ties(tried, 30) is None


@pytest.mark.parametrize(
    "bottom", list(itertools.product((0.25, 0.625), (-0.5, 1.25), (0.075, 0.45)))
)
def test_a_bowl(
    tuned: Callable[[Callable[[Trial], float]], Trial], bottom: tuple[float, float, float]
) -> None:
    def rate(trial: Trial) -> float:
        here = (trial.lm_weight, trial.word_score, trial.prior_weight)
        return 0.1 + 0.01 * sum((a - b) ** 2 for a, b in zip(here, bottom, strict=True))

    best = tuned(rate)
    assert (best.lm_weight, best.word_score, best.prior_weight) == pytest.approx(bottom)
