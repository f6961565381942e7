"""The power law: found where it is known, with intervals that hold what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from leaderboard.power_law import PowerLaw, student_quantile
from scipy import stats

from deepspeech2.errors import ManifestError

HOURS = [1.0, 2.0, 4.0, 8.0]


def known(hours: float) -> float:
    return 0.9 * hours**-0.35


def test_exact_points_give_the_law() -> None:
    law = PowerLaw.fit(HOURS, [known(each) for each in HOURS])
    assert law.factor == pytest.approx(0.9)
    assert law.exponent == pytest.approx(0.35)
    foretold = law(960)
    assert foretold.value == pytest.approx(known(960))
    assert foretold.low == pytest.approx(foretold.high) == pytest.approx(known(960))


def test_noisy_points_give_nearly_the_law() -> None:
    draw = np.random.default_rng(1)
    hours = np.geomspace(1, 100, 40)
    wer = 0.9 * hours**-0.35 * np.exp(0.05 * draw.standard_normal(40))
    law = PowerLaw.fit(hours.tolist(), wer.tolist())
    assert law.exponent == pytest.approx(0.35, abs=0.02)
    assert law.factor == pytest.approx(0.9, rel=0.05)
    assert law.spread == pytest.approx(0.05, rel=0.3)
    assert law.exponents.low < 0.35 < law.exponents.high


@pytest.mark.parametrize("number", [3, 5])
def test_ninety_five_of_a_hundred_new_runs_lie_in_the_interval(number: int) -> None:
    draw = np.random.default_rng(number)
    hours = [float(2**index) for index in range(number)]
    inside, trials = 0, 2000
    for _ in range(trials):
        noise = np.exp(0.1 * draw.standard_normal(number + 1))
        wer = [known(each) * factor for each, factor in zip(hours, noise[1:], strict=True)]
        foretold = PowerLaw.fit(hours, wer)(100)
        inside += foretold.low < known(100) * noise[0] < foretold.high
    assert inside / trials == pytest.approx(0.95, abs=0.015)


def test_agrees_with_scipy() -> None:
    wer = [0.8, 0.66, 0.5, 0.44]
    law = PowerLaw.fit(HOURS, wer)
    theirs = stats.linregress(np.log(HOURS), np.log(wer))
    assert law.exponent == pytest.approx(-theirs.slope)
    assert math.log(law.factor) == pytest.approx(theirs.intercept)
    reach = stats.t.ppf(0.975, 2) * theirs.stderr
    assert law.exponents.high - law.exponent == pytest.approx(reach)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 8, 31, 200])
@pytest.mark.parametrize("share", [0.5, 0.95, 0.999])
def test_quantiles_of_students_distribution(share: float, freedom: int) -> None:
    expected = stats.t.ppf((1 + share) / 2, freedom)
    assert student_quantile(share, freedom) == pytest.approx(expected, rel=1e-9)


def test_the_band_widens_with_the_distance() -> None:
    law = PowerLaw.fit(HOURS, [0.8, 0.66, 0.5, 0.44])
    widths = [math.log(law(hours).high / law(hours).low) for hours in (3, 10, 100, 960)]
    assert widths == sorted(widths)


@pytest.mark.parametrize("hours", [[], [1.0, 2.0], [1.0, 2.0, 2.0, 1.0]])
def test_too_few_points_are_refused(hours: list[float]) -> None:
    number = len(set(hours))
    message = rf"at least 3 runs with different hours, but there are {number}: train with other"
    with pytest.raises(ManifestError, match=message):
        PowerLaw.fit(hours, [0.5] * len(hours))


def test_what_has_no_logarithm_is_refused() -> None:
    with pytest.raises(ManifestError, match="WER must be positive for a power law, but is 0"):
        PowerLaw.fit([1, 2, 3], [0.5, 0.0, 0.1])
    with pytest.raises(ManifestError, match="hours must be positive for a power law, but is 0"):
        PowerLaw.fit([1, 0, 3], [0.5, 0.2, 0.1])
