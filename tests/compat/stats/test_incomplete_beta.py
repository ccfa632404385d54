from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from compat.stats.incomplete_beta import binomial_upper_tail, log_factorial_table


@pytest.mark.parametrize("n", [1, 2, 30, 1_000, 200_000])
def test_equals_scipy(n: int) -> None:
    rng = np.random.default_rng(n)
    rates = rng.random(200) ** 3
    k = np.clip(rng.binomial(n, rates) + rng.integers(-3, 4, 200), -1, n + 1)
    expected = binom.sf(k - 1, n, rates)
    found = binomial_upper_tail(k, np.array(n), rates)
    assert found == pytest.approx(expected, rel=1e-7, abs=1e-14)


def test_ends() -> None:
    k, n = np.array([-1, 0, 1, 3, 4]), np.array(3)
    assert binomial_upper_tail(k, n, np.array(0.0)).tolist() == [1, 1, 0, 0, 0]
    assert binomial_upper_tail(k, n, np.array(1.0)).tolist() == [1, 1, 1, 1, 0]
    assert binomial_upper_tail(np.array([1, 0]), np.array(0), np.array(0.5)).tolist() == [0, 1]


@pytest.mark.parametrize("largest", [0, 1, 5, 7, 8, 1_000])
def test_log_factorials(largest: int) -> None:
    table = log_factorial_table(largest)
    assert len(table) > largest
    assert table == pytest.approx([math.log(math.factorial(i)) for i in range(len(table))])


def test_log_factorials_are_shared_and_so_cannot_be_written() -> None:
    table = log_factorial_table(600)
    assert log_factorial_table(1_000) is table
    with pytest.raises(ValueError, match="read-only"):
        table[0] = 1.0
