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
    """Unknown ends where the fit shows no peak: its coherence is 0, or cannot be told from it."""
    peak_throughput: Interval
    """Unknown ends where `peak_concurrency` has them."""
    covariance: Array
    """Covariance of log λ, σ and κ; shape (3, 3)."""
    widening: float
    """Standard errors that an interval reaches to each side."""

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
    variance, freedom = _residual_variance(n, np.asarray(fitted.fun, dtype=np.float64))
    slopes = np.asarray(fitted.jac, dtype=np.float64)
    covariance = np.asarray(np.linalg.pinv(slopes.T @ slopes) * variance, dtype=np.float64)
    t = float(special.stdtrit(freedom, (1 + confidence) / 2))
    log_rate, contention, coherence = (float(p) for p in fitted.x)
    half = [t * math.sqrt(max(0.0, float(each))) for each in np.diag(covariance)]
    law = ScalabilityLaw(math.exp(log_rate), contention, coherence)
    peak_concurrency, peak_throughput = _peak(law, covariance, t, coherence > half[2])
    return ScalabilityFit(
        law=law,
        rate=Interval(law.rate, math.exp(log_rate - half[0]), math.exp(log_rate + half[0])),
        contention=Interval(contention, max(0.0, contention - half[1]), min(1.0, contention + half[1])),
        coherence=Interval(coherence, max(0.0, coherence - half[2]), coherence + half[2]),
        peak_concurrency=peak_concurrency,
        peak_throughput=peak_throughput,
        covariance=covariance,
        widening=t,
    )


def _residual_variance(levels: Array, residuals: Array) -> tuple[float, int]:
    """Return the variance of one trial and its degrees of freedom.

    Both are those of all trials, or of the levels where the fit misses the levels.
    """
    from scipy.special import fdtrc

    inside = [residuals[levels == level] for level in np.unique(levels)]
    scatter = sum(float(((of - of.mean()) ** 2).sum()) for of in inside)
    missed = sum(len(of) * float(of.mean()) ** 2 for of in inside)
    of_scatter, of_missed = len(levels) - len(inside), len(inside) - 3
    if of_scatter and of_missed and scatter > 0:
        f = (missed / of_missed) / (scatter / of_scatter)
        if fdtrc(of_missed, of_scatter, f) < LACK_OF_FIT:
            return missed / of_missed, of_missed
    return (scatter + missed) / (len(levels) - 3), len(levels) - 3


def _log_law(parameters: Array, concurrency: Array) -> Array:
    log_rate, contention, coherence = parameters
    waste = contention * (concurrency - 1) + coherence * concurrency * (concurrency - 1)
    logs: Array = log_rate + np.log(concurrency) - np.log1p(waste)
    return logs


def _peak(law: ScalabilityLaw, covariance: Array, t: float, is_shown: bool) -> tuple[Interval, Interval]:
    """Return where the peak is and how high, by the delta method on the logarithms."""
    n, height = law.peak_concurrency, law.peak_throughput
    if not is_shown or law.contention >= 1:
        return Interval(n, math.nan, math.nan), Interval(height, math.nan, math.nan)
    moving = np.array([0.0, -0.5 / (1 - law.contention), -0.5 / law.coherence])
    aside = t * _error(moving, covariance)
    # Moving along changes nothing at a peak, so its place is held.
    up = t * _error(_slopes(law, n), covariance)
    return (
        Interval(n, n * math.exp(-aside), n * math.exp(aside)),
        Interval(height, height * math.exp(-up), height * math.exp(up)),
    )


def _slopes(law: ScalabilityLaw, n: float) -> Array:
    """Return the slopes of the throughput's logarithm by log λ, σ and κ."""
    waste = 1 + law.contention * (n - 1) + law.coherence * n * (n - 1)
    return np.array([1.0, -(n - 1) / waste, -n * (n - 1) / waste])


def _error(slopes: Array, covariance: Array) -> float:
    return math.sqrt(max(0.0, float(slopes @ covariance @ slopes)))
