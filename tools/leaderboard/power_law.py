"""How errors fall with the hours of training speech: WER = a * hours ** -b.

The logarithms lie on a line (J. Hestness et al., Deep Learning Scaling is Predictable,
Empirically, 2017), which is fitted by least squares. The interval of a prediction is that of a
new observation in linear regression (N. Draper and H. Smith, Applied Regression Analysis, 3rd
edition, 1998, section 1.4), with the residuals' own spread: it speaks of runs that differ as much
from the line as these did, and supposes that the line goes on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deepspeech2.errors import ManifestError
from deepspeech2.metrics.interval import Interval

_SHARE = 0.95
FEWEST = 3


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """A fitted line.

    Attributes:
        factor: a, the WER at one hour, as a fraction.
        exponent: b; positive where more speech helps.
        spread: standard deviation of ln WER around the line, n - 2 degrees of freedom.
        points: n.
        centre: mean of ln hours.
        extent: sum of squared deviations of ln hours from ``centre``.
    """

    factor: float
    exponent: float
    spread: float
    points: int
    centre: float
    extent: float

    @classmethod
    def fit(cls, hours: Sequence[float], wer: Sequence[float]) -> PowerLaw:
        """Least squares in the logarithms.

        Args:
            hours: of training speech, each positive.
            wer: as fractions, each positive.

        Raises:
            ManifestError: there are fewer than three points or amounts of hours, or a value is not
                positive.
        """
        different = len(set(hours))
        if different < FEWEST:
            raise ManifestError(
                f"a power law needs at least {FEWEST} runs with different hours, but there are"
                f" {different}: train with other values of datasets.train.hours and record them"
            )
        for name, values in (("hours", hours), ("WER", wer)):
            lowest = min(values)
            if not lowest > 0:
                raise ManifestError(f"{name} must be positive for a power law, but is {lowest:g}")
        x, y = np.log(hours), np.log(wer)
        deviations = x - x.mean()
        extent = float(deviations @ deviations)
        slope = float(deviations @ y) / extent
        residuals = y - y.mean() - slope * deviations
        spread = math.sqrt(float(residuals @ residuals) / (len(x) - 2))
        factor = math.exp(float(y.mean()) - slope * float(x.mean()))
        return cls(factor, -slope, spread, len(x), float(x.mean()), extent)

    def __call__(self, hours: float) -> Interval:
        """The WER of a new run with ``hours``, with its 95 % prediction interval; fractions."""
        distance = (math.log(hours) - self.centre) ** 2 / self.extent
        reach = self._quantile * self.spread * math.sqrt(1 + 1 / self.points + distance)
        value = self.factor * hours**-self.exponent
        return Interval(value, value * math.exp(-reach), value * math.exp(reach))

    @property
    def exponents(self) -> Interval:
        """b with its 95 % confidence interval."""
        reach = self._quantile * self.spread / math.sqrt(self.extent)
        return Interval(self.exponent, self.exponent - reach, self.exponent + reach)

    @property
    def _quantile(self) -> float:
        return student_quantile(_SHARE, self.points - 2)


def student_quantile(share: float, freedom: int) -> float:
    """Return the t for which ``share`` of Student's distribution is between -t and t.

    >>> round(student_quantile(0.95, 1), 3), round(student_quantile(0.95, 10), 3)
    (12.706, 2.228)
    """
    low, high = 0.0, math.pi / 2
    for _ in range(60):  # halvings, beyond the precision of a float
        middle = (low + high) / 2
        if _student_share(middle, freedom) < share:
            low = middle
        else:
            high = middle
    return math.sqrt(freedom) * math.tan((low + high) / 2)


def _student_share(angle: float, freedom: int) -> float:
    """The share between -t and t, where t = sqrt(freedom) tan(angle).

    M. Abramowitz and I. Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
    """
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = 0.0 if freedom == 1 else term
    for number in range(2 + odd, freedom - 1, 2):
        term *= cosine**2 * (number - 1) / number
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
