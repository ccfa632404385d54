from __future__ import annotations

import itertools
import math

import pytest

from compat.stats.attempts import needed_resamples, spent_level

ALPHA = 0.05


def error(attempt: int, *, planned: int | None = None, n_answers: int = 3) -> float:
    return 1 - spent_level(1 - ALPHA, attempt, planned=planned, n_answers=n_answers)


def test_the_first_attempt_pays_unless_it_is_the_only_one() -> None:
    assert spent_level(0.95, 1) == pytest.approx(1 - 0.05 * 6 / math.pi**2)
    assert spent_level(0.95, 1) == pytest.approx(0.9696, abs=5e-5)
    assert spent_level(0.95, 1, planned=1) == pytest.approx(0.95, abs=1e-12)


def test_all_shares_together_are_the_error() -> None:
    """The sum of 6 / (pi k)^2 over 10,000 attempts, and what is left beyond: about 6 / (pi^2 n)."""
    spent = sum(error(k, n_answers=1) for k in range(1, 10_001))
    assert ALPHA * (1 - 7e-5) < spent < ALPHA
    assert sum(error(k, planned=7, n_answers=1) for k in range(1, 8)) == pytest.approx(ALPHA)


@pytest.mark.parametrize("planned", [None, 4])
@pytest.mark.parametrize("n_answers", [1, 2, 3])
def test_the_tree_of_answers_costs_no_more_than_the_error(
    planned: int | None, n_answers: int
) -> None:
    """Whatever was answered, each candidate that may come next is a node, and every node is paid.

    Were the rejection regions of all nodes disjoint, the family would fail with the sum.
    """
    total = 0.0
    for attempt in range(1, 5):
        for _ in itertools.product(range(n_answers), repeat=attempt - 1):
            total += error(attempt, planned=planned, n_answers=n_answers)
    assert total <= ALPHA + 1e-12


def family_error(levels: list[float], *, adaptive: bool) -> float:
    """Return the exact probability of a false certificate over two attempts, at worst.

    The data are one uniform u. The first candidate, not compatible, passes falsely if u < a1, and
    is refuted if u >= 1/2. A second candidate passes falsely on any event of probability a2 that
    its maker likes; the maker who saw the answer picks it among outcomes that are still possible:
    one region under each answer. The maker who did not has one region for both.
    """
    first, second = (1 - level for level in levels)
    regions = [(0.0, first)]
    inconclusive, refuted = (first, first + second), (0.5, 0.5 + second)
    regions += [inconclusive, refuted] if adaptive else [inconclusive]
    return sum(stop - start for start, stop in regions)


def test_answers_that_are_told_apart_must_be_paid_for() -> None:
    """What Bonferroni over attempts alone misses: an exact counterexample."""
    bonferroni = [spent_level(0.95, k, planned=2, n_answers=1) for k in (1, 2)]
    assert family_error(bonferroni, adaptive=False) == pytest.approx(ALPHA)
    assert family_error(bonferroni, adaptive=True) == pytest.approx(1.5 * ALPHA)
    paid = [spent_level(0.95, k, planned=2, n_answers=2) for k in (1, 2)]
    assert family_error(paid, adaptive=True) == pytest.approx(ALPHA)
    unpaid = [0.95, 0.95]
    assert family_error(unpaid, adaptive=False) == pytest.approx(2 * ALPHA)


def test_each_attempt_is_harder() -> None:
    levels = [spent_level(0.95, k) for k in range(1, 12)]
    assert levels == sorted(set(levels))
    assert levels[1] == pytest.approx(1 - 0.05 * 6 / (2 * math.pi) ** 2 / 3)


def test_a_spent_family_has_no_further_attempt() -> None:
    with pytest.raises(ValueError, match="at most planned = 3 but got 4"):
        spent_level(0.95, 4, planned=3)
    with pytest.raises(ValueError, match="attempt 60 has no error left to spend"):
        spent_level(0.95, 60)
    with pytest.raises(ValueError, match="attempt 5000 has no error left to spend"):
        spent_level(0.95, 5_000)


def test_later_attempts_need_more_resamples() -> None:
    """As many as `paired_difference_bounds` asks for: rank 10 from the outside."""
    assert needed_resamples(0.95) == 200
    assert needed_resamples(0.99) == 1_000
    assert needed_resamples(spent_level(0.95, 3)) > 20_000


@pytest.mark.parametrize(
    ("attempt", "n_answers", "level"), [(0, 3, 0.95), (1, 0, 0.95), (1, 3, 1.0), (-2, 3, 0.95)]
)
def test_arguments_are_checked(attempt: int, n_answers: int, level: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        spent_level(level, attempt, n_answers=n_answers)
