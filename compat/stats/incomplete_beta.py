"""Binomial tails for arrays of arguments, from the incomplete beta function.

NumPy alone, because certifying must not need SciPy.

References:
    [1] Abramowitz and Stegun, "Handbook of Mathematical Functions", 1964, 26.5.8 (continued
        fraction) and 26.5.24 (binomial tail).
    [2] Press et al., "Numerical Recipes", 3rd ed., 2007, sections 5.2 and 6.4 (modified Lentz).
"""

from __future__ import annotations

import functools
import math

import numpy as np

from registry.arrays import Float64Array

_TINY = 1e-300
_PRECISION = 1e-13
_N_TERMS = 100_000  # far more than any argument needs: it takes about sqrt(n)


def binomial_upper_tail(
    n_events: Float64Array, n_trials: Float64Array, rates: Float64Array
) -> Float64Array:
    """Return the probabilities of at least so many events in independent trials [1].

    Args:
        n_events: whole numbers, below 0 and above `n_trials` too. Any shape, broadcast.
        n_trials: whole numbers of at least 0.
        rates: in [0, 1].
    """
    k, n, p = np.broadcast_arrays(
        np.asarray(n_events, np.float64), np.asarray(n_trials, np.float64), np.asarray(rates)
    )
    tails = np.where(k <= 0, 1.0, np.where((p >= 1) & (k <= n), 1.0, 0.0))
    is_inside = (k > 0) & (k <= n) & (p > 0) & (p < 1)
    k, n, p = k[is_inside], n[is_inside], p[is_inside]
    tails[is_inside] = _incomplete_beta(k, n - k + 1, p)
    return tails


def _incomplete_beta(a: Float64Array, b: Float64Array, x: Float64Array) -> Float64Array:
    """Return I_x(a, b) for whole a, b of at least 1 and x inside (0, 1). All 1-d."""
    is_left = x < (a + 1) / (a + b + 2)  # where the fraction converges fast; else the mirror image
    first, second = np.where(is_left, a, b), np.where(is_left, b, a)
    at = np.where(is_left, x, 1 - x)
    log_factorials = log_factorial_table(int((a + b).max(initial=1)))
    whole_a, whole_b = a.astype(np.int64), b.astype(np.int64)
    log_front = (
        log_factorials[whole_a + whole_b - 1]
        - log_factorials[whole_a - 1]
        - log_factorials[whole_b - 1]
        + a * np.log(x)
        + b * np.log1p(-x)
    )
    part = np.exp(log_front) * _continued_fraction(first, second, at) / first
    tails: Float64Array = np.where(is_left, part, 1 - part)
    return tails


def _continued_fraction(a: Float64Array, b: Float64Array, x: Float64Array) -> Float64Array:
    """Return the fraction of 26.5.8 in [1], evaluated from the front [2]."""
    c = np.ones_like(x)
    d = 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    value = d.copy()
    for m in range(1, _N_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _away_from_zero(1 + term * d)
            c = _away_from_zero(1 + term / c)
            step = c * d
            value *= step
        if np.all(np.abs(step - 1) < _PRECISION):
            break
    return value


def _away_from_zero(values: Float64Array) -> Float64Array:
    return np.where(np.abs(values) < _TINY, _TINY, values)


def log_factorial_table(largest: int) -> Float64Array:
    """Return log(i!) for i from 0 to at least the largest asked for. Read-only."""
    return _log_factorials(1 << largest.bit_length())  # powers of two, so that few are made


@functools.cache
def _log_factorials(n: int) -> Float64Array:
    table = np.fromiter(map(math.lgamma, range(1, n + 1)), np.float64, n)
    table.flags.writeable = False
    return table
