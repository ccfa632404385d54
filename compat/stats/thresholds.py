"""Error rates of verification at a score threshold, and the smallest that the data support.

References:
    [1] Hanley and Lippman-Hand, "If nothing goes wrong, is everything all right?", JAMA 249(13),
        1983 (the rule of three).
    [2] Doddington, Przybocki, Martin and Reynolds, "The NIST speaker recognition evaluation",
        Speech Communication 31(2-3), 2000 (the rule of thirty).
    [3] Dass, Zhu and Jain, "Validating a biometric authentication system: sample size
        requirements", IEEE TPAMI 28(12), 2006 (both are too small for correlated attempts).
"""

from __future__ import annotations

import math

import numpy as np

from registry.arrays import Float64Array, LabelArray

from .binomial import RateBounds, clustered_rate_bounds
from .clusters import check_level


def smallest_supported_rate(n_units: int, confidence_level: float = 0.95) -> float:
    """Return the smallest error rate that so many independent units can confirm.

    If none of n units shows an error, rates above 1 - (1 - confidence_level)^(1 / n) are excluded,
    about 3 / n at 0.95 [1]; nothing below can be. A bound on a false-accept rate below it says
    more than was measured.

    What a unit is: comparisons of one subject share a template, so they are no independent trials
    [3]. Of S impostor subjects tried against a *fixed* gallery the units are S; where the gallery's
    subjects are a sample too, only pairs that share no subject are independent: S // 2. A million
    comparisons among 1,000 subjects support 0.003 or 0.006, not 0.000003.

    Args:
        n_units: independent units, at least 1.
        confidence_level: in (0, 1).

    Raises:
        ValueError: if a value is out of range.
    """
    _check_units(n_units)
    check_level(confidence_level)
    return -math.expm1(math.log1p(-confidence_level) / n_units)


def units_to_support(rate: float, confidence_level: float = 0.95) -> int:
    """Return the fewest independent units that can confirm an error rate, if none shows an error.

    Raises:
        ValueError: if the rate or the level is not in (0, 1).
    """
    check_level(confidence_level)
    if not 0 < rate < 1:
        raise ValueError(f"rate must be in (0, 1) but got {rate}")
    return max(1, math.ceil(math.log1p(-confidence_level) / math.log1p(-rate) - 1e-9))


def smallest_measurable_rate(n_units: int) -> float:
    """Return the smallest rate that can be *measured*, not only bounded: 30 errors are expected.

    The rule of thirty [2]: with 30 errors the true rate is within 30 % of the found one, at 90 %
    confidence. At most 1.

    Raises:
        ValueError: if there is no unit.
    """
    _check_units(n_units)
    return min(1.0, 30 / n_units)


def false_accept_bounds(
    scores: Float64Array,
    subjects: LabelArray,
    *,
    threshold: float,
    confidence_level: float = 0.95,
    n_resamples: int = 20_000,
    rng: np.random.Generator,
) -> RateBounds:
    """Bound the rate of impostors who score at least the threshold, by subject.

    Args:
        scores: of impostor comparisons; larger is closer. Shape: (n_comparisons,)
        subjects: independent unit of each comparison. Shape: (n_comparisons,)
        threshold: at and above which a comparison is accepted; not chosen on these scores.
        confidence_level: of each bound.
        n_resamples: draws of weights.
        rng: source of the weights.

    Raises:
        ValueError: if the arrays do not fit, a score is NaN, or a setting is out of range.
    """
    _check_scores(scores, threshold)
    return clustered_rate_bounds(
        scores >= threshold,
        subjects,
        confidence_level=confidence_level,
        n_resamples=n_resamples,
        rng=rng,
    )


def false_reject_bounds(
    scores: Float64Array,
    subjects: LabelArray,
    *,
    threshold: float,
    confidence_level: float = 0.95,
    n_resamples: int = 20_000,
    rng: np.random.Generator,
) -> RateBounds:
    """Bound the rate of genuine comparisons that score below the threshold, by subject.

    Arguments and errors as for `false_accept_bounds`.
    """
    _check_scores(scores, threshold)
    return clustered_rate_bounds(
        scores < threshold,
        subjects,
        confidence_level=confidence_level,
        n_resamples=n_resamples,
        rng=rng,
    )


def _check_units(n_units: int) -> None:
    if n_units < 1:
        raise ValueError(f"n_units must be at least 1 but got {n_units}")


def _check_scores(scores: Float64Array, threshold: float) -> None:
    n_bad = int(np.count_nonzero(np.isnan(scores)))
    if n_bad or math.isnan(threshold):
        raise ValueError(f"scores and threshold must not be NaN but {n_bad} scores are")
