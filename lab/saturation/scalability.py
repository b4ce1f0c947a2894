"""Find the knee of a curve of throughput against concurrency, and fit the Universal Scalability Law to it.

The law says what contention and coherence cost: N. J. Gunther, Guerrilla Capacity Planning, 2007, ch. 4.
Rates are per second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lab.errors import BadParameter
from lab.measure.statistics import Interval

__all__ = ["ScalabilityFit", "ScalabilityLaw", "fit_scalability", "knee"]


@dataclass(frozen=True, slots=True)
class ScalabilityLaw:
    """The Universal Scalability Law: X(N) = λN / (1 + σ(N − 1) + κN(N − 1))."""

    rate: float
    """λ: requests a second at concurrency 1."""
    contention: float
    """σ: the share of a request's time that no two can spend at once."""
    coherence: float
    """κ: what each pair in flight costs; above 0 the throughput has a peak and falls beyond it."""

    def throughput(self, concurrency: ArrayLike) -> NDArray[np.float64]:
        """Return the requests a second at each concurrency."""
        n = np.asarray(concurrency, dtype=np.float64)
        waste = 1 + self.contention * (n - 1) + self.coherence * n * (n - 1)
        throughput: NDArray[np.float64] = self.rate * n / waste
        return throughput

    @property
    def peak_concurrency(self) -> float:
        """√((1 − σ) / κ): where the throughput is greatest; infinite without coherence."""
        if self.coherence <= 0:
            return math.inf
        return math.sqrt(max(0.0, 1 - self.contention) / self.coherence)

    @property
    def peak_throughput(self) -> float:
        """The greatest throughput; without coherence what contention alone allows, λ/σ."""
        if math.isinf(self.peak_concurrency):
            return self.rate / self.contention if self.contention > 0 else math.inf
        return float(self.throughput(self.peak_concurrency))


Array = NDArray[np.float64]
SURE_OF_PEAK = 3.0
"""How many half-widths of its interval the coherence must be above 0 for a peak to be shown.

With less, peaks are shown mainly where chance made the coherence too large: then their intervals covered 41
to 71 % in simulation. `nox -s accuracy -- peaks` measures what they cover now."""
LACK_OF_FIT = 0.05
"""The p-value below which a miss of the levels is not taken for chance."""


def knee(levels: Sequence[float], throughputs: Sequence[float], response_times: Sequence[float]) -> float:
    """Return the level at which Kleinrock's power, throughput / response_time, is greatest.

    On a pipeline that follows its asymptotic bounds, the bounds meet there. (L. Kleinrock, Power and
    deterministic rules of thumb for probabilistic problems in computer communications, 1979.)
    Raises BadParameter without any level.
    """
    if not len(levels) == len(throughputs) == len(response_times) > 0:
        raise BadParameter("a knee needs at least one level, with its throughput and its response time")
    power = np.asarray(throughputs, dtype=np.float64) / np.asarray(response_times, dtype=np.float64)
    return float(levels[int(np.argmax(power))])


@dataclass(frozen=True, slots=True)
class ScalabilityFit:
    """The law that fits best, with 95 % intervals."""

    law: ScalabilityLaw
    rate: Interval
    contention: Interval
    coherence: Interval
    peak_concurrency: Interval
    """Unknown ends where the fit shows no peak, or none whose interval can be trusted to cover: that takes a
    coherence three times as far from 0 as its interval reaches, and an interval within what was measured."""
    peak_throughput: Interval
    """Unknown ends where `peak_concurrency` has them."""
    covariance: Array
    """Covariance of log λ, σ and κ; shape (3, 3)."""
    widening: float
    """Standard errors that an interval reaches to each side."""
    contradicted: bool
    """Whether the levels miss the law by more than their trials scatter, at 5 %."""

    def throughput(self, concurrency: float) -> Interval:
        """Return the requests a second at a concurrency, by the delta method on the logarithm."""
        estimate = float(self.law.throughput(concurrency))
        half = self.widening * _error(_slopes(self.law, concurrency), self.covariance)
        return Interval(estimate, estimate * math.exp(-half), estimate * math.exp(half))


def fit_scalability(
    concurrency: Sequence[float], throughput: Sequence[float], confidence: float = 0.95
) -> ScalabilityFit:
    """Fit the law to trials, one pair each, by least squares on the logarithms: errors are by factors.

    Intervals are linear about the fit (Seber and Wild, Nonlinear Regression, 5.1), cut at what is possible.
    Where the fit misses the levels by more than their trials scatter, more trials make it no truer: then the
    levels count, and not their trials (the test for lack of fit: Draper and Smith, Applied Regression
    Analysis, 3rd ed., 2.1).
    Raises BadParameter below four trials, three levels of concurrency, or for a value that is not positive.
    """
    from scipy import optimize, special  # a second to import, so not before a fit is wanted

    n, x = np.asarray(concurrency, dtype=np.float64), np.asarray(throughput, dtype=np.float64)
    if len(n) != len(x) or len(n) < 4 or len(set(n.tolist())) < 3:
        raise BadParameter(
            "the law has three parameters: give four trials or more, at three concurrencies or more"
        )
    if not (np.all(n > 0) and np.all(x > 0)):
        raise BadParameter("concurrency and throughput must be above 0")

    def residuals(parameters: Array) -> Array:
        return np.log(x) - _log_law(parameters, n)

    fitted = optimize.least_squares(
        residuals,
        (math.log(float(np.max(x / n))), 0.05, 0.001),
        bounds=([-np.inf, 0, 0], [np.inf, 1, np.inf]),
        x_scale=(1, 0.1, 0.01),
    )
    variance, freedom, contradicted = _residual_variance(n, np.asarray(fitted.fun, dtype=np.float64))
    slopes = np.asarray(fitted.jac, dtype=np.float64)
    covariance = np.asarray(np.linalg.pinv(slopes.T @ slopes) * variance, dtype=np.float64)
    t = float(special.stdtrit(freedom, (1 + confidence) / 2))
    log_rate, contention, coherence = (float(p) for p in fitted.x)
    half = [t * math.sqrt(max(0.0, float(each))) for each in np.diag(covariance)]
    law = ScalabilityLaw(math.exp(log_rate), contention, coherence)
    known = coherence > SURE_OF_PEAK * half[2]
    peak_concurrency, peak_throughput = _peak(law, covariance, t, float(n.max()) if known else 0.0)
    return ScalabilityFit(
        law=law,
        rate=Interval(law.rate, math.exp(log_rate - half[0]), math.exp(log_rate + half[0])),
        contention=Interval(contention, max(0.0, contention - half[1]), min(1.0, contention + half[1])),
        coherence=Interval(coherence, max(0.0, coherence - half[2]), coherence + half[2]),
        peak_concurrency=peak_concurrency,
        peak_throughput=peak_throughput,
        covariance=covariance,
        widening=t,
        contradicted=contradicted,
    )


def _residual_variance(levels: Array, residuals: Array) -> tuple[float, int, bool]:
    """Return the variance of one trial, its degrees of freedom, and whether the fit misses the levels.

    The first two are those of all trials, or of the levels where the fit misses the levels.
    """
    from scipy.special import fdtrc

    inside = [residuals[levels == level] for level in np.unique(levels)]
    scatter = sum(float(((of - of.mean()) ** 2).sum()) for of in inside)
    missed = sum(len(of) * float(of.mean()) ** 2 for of in inside)
    of_scatter, of_missed = len(levels) - len(inside), len(inside) - 3
    if of_scatter and of_missed and scatter > 0:
        f = (missed / of_missed) / (scatter / of_scatter)
        if fdtrc(of_missed, of_scatter, f) < LACK_OF_FIT:
            return missed / of_missed, of_missed, True
    return (scatter + missed) / (len(levels) - 3), len(levels) - 3, False


def _log_law(parameters: Array, concurrency: Array) -> Array:
    log_rate, contention, coherence = parameters
    waste = contention * (concurrency - 1) + coherence * concurrency * (concurrency - 1)
    logs: Array = log_rate + np.log(concurrency) - np.log1p(waste)
    return logs


def _peak(law: ScalabilityLaw, covariance: Array, t: float, highest: float) -> tuple[Interval, Interval]:
    """Return where the peak is and how high; without ends where its interval leaves what was measured.

    The place by Fieller's theorem: all N at which 1 − σ − κN² may be 0 (E. C. Fieller, Some problems in
    interval estimation, 1954). The height by the delta method on the logarithm.
    """
    n, height = law.peak_concurrency, law.peak_throughput
    low, high = _fieller(1 - law.contention, law.coherence, covariance[1:, 1:] * t**2)
    if not high <= highest:
        return Interval(n, math.nan, math.nan), Interval(height, math.nan, math.nan)
    # Moving along changes nothing at a peak, so its place is held.
    up = t * _error(_slopes(law, n), covariance)
    return Interval(n, low, high), Interval(height, height * math.exp(-up), height * math.exp(up))


def _fieller(rest: float, coherence: float, squares: Array) -> tuple[float, float]:
    """Return the ends of all N with (rest − κN²)² within its error; `squares` are t² covariances of σ, κ."""
    a = coherence**2 - squares[1, 1]
    b = -2 * (rest * coherence + squares[0, 1])
    c = rest**2 - squares[0, 0]
    inside = b * b - 4 * a * c
    if a <= 0 or inside < 0 or rest <= 0:
        return math.nan, math.nan
    ends = [(-b + side * math.sqrt(inside)) / (2 * a) for side in (-1, 1)]
    return math.sqrt(max(0.0, ends[0])), math.sqrt(max(0.0, ends[1]))


def _slopes(law: ScalabilityLaw, n: float) -> Array:
    """Return the slopes of the throughput's logarithm by log λ, σ and κ."""
    waste = 1 + law.contention * (n - 1) + law.coherence * n * (n - 1)
    return np.array([1.0, -(n - 1) / waste, -n * (n - 1) / waste])


def _error(slopes: Array, covariance: Array) -> float:
    return math.sqrt(max(0.0, float(slopes @ covariance @ slopes)))
