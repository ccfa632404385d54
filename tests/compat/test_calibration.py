from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from compat.calibration import (
    Judged,
    cross_fit,
    fit_curve,
    fit_maps,
    halve,
    is_better,
    share_first,
)
from compat.evaluation.ranking import Relevance, TopItems
from registry.domain.calibration import ScoreMap


def sampled(rng: np.random.Generator, n: int, slope: float, intercept: float) -> tuple[Any, Any]:
    scores = rng.normal(0.5, 0.2, n)
    return scores, rng.random(n) < 1 / (1 + np.exp(-(slope * scores + intercept)))


def test_a_curve_is_that_of_a_general_minimiser(rng: np.random.Generator) -> None:
    scores, relevant = sampled(rng, 3000, 12, -7)
    found = fit_curve(scores, relevant)
    assert found is not None
    x = (scores - scores.mean()) / scores.std()

    def loss(point: Any) -> float:
        odds = point[0] * x + point[1]
        return float((np.logaddexp(0, odds) - relevant * odds).sum() + point[0] ** 2 / 2)

    best = minimize(loss, [1.0, 0.0], tol=1e-12).x
    assert found.slope == pytest.approx(best[0] / scores.std(), rel=1e-4)
    assert found.intercept == pytest.approx(best[1] - found.slope * scores.mean(), rel=1e-3)
    assert (found.slope, found.intercept) == pytest.approx((12, -7), rel=0.15)


def test_scores_that_separate_perfectly_have_a_curve(rng: np.random.Generator) -> None:
    scores = np.r_[rng.uniform(0, 0.4, 500), rng.uniform(0.6, 1, 20)]
    found = fit_curve(scores, np.arange(520) >= 500)
    assert found is not None
    assert 0 < found.slope < 1e3
    assert 0.3 < -found.intercept / found.slope < 0.7
    assert found == fit_curve(scores, np.arange(520) >= 500)


@pytest.mark.parametrize(
    ("scores", "relevant"),
    [
        ([0.1, 0.2, 0.3], [0, 0, 0]),
        ([0.1, 0.2, 0.3], [1, 1, 1]),
        ([0.5, 0.5, 0.5], [0, 1, 0]),
        ([0.1, 0.2, 0.9, 0.8], [1, 1, 0, 0]),
        ([], []),
    ],
)
def test_where_no_rising_curve_can_be_told_there_is_none(
    scores: list[float], relevant: list[int]
) -> None:
    assert fit_curve(np.array(scores, float), np.array(relevant, bool)) is None


@given(scale=st.floats(0.01, 1e4), offset=st.floats(-1e4, 1e4), seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=30)
def test_a_pair_on_another_scale_is_mapped_back(scale: float, offset: float, seed: int) -> None:
    """The same hits with scores scaled and shifted: the map undoes it, and always rises."""
    scores, relevant = sampled(np.random.default_rng(seed), 400, 9, -5)
    reference = Judged(scores.reshape(20, 20), relevant.reshape(20, 20))
    other = Judged(scale * reference.scores + offset, reference.is_relevant)
    found = fit_maps(reference, {"same": reference, "other": other}, np.arange(20))
    assert found is not None
    assert found["same"].is_identity
    back = found["other"].scale * other.scores + found["other"].offset
    assert back == pytest.approx(reference.scores, abs=1e-3 * max(1.0, abs(offset) / scale))
    assert share_first(found) == dict.fromkeys(("same", "other"), ScoreMap())


def test_a_pair_that_tells_nothing_leaves_no_maps() -> None:
    good = Judged(np.array([[0.9, 0.2], [0.8, 0.1]]), np.array([[True, False]] * 2))
    blank = Judged(good.scores, np.zeros((2, 2), bool))
    rows = np.arange(2)
    assert fit_maps(good, {"a": good}, rows) is not None
    assert fit_maps(good, {"a": good, "b": blank}, rows) is None
    assert fit_maps(blank, {"a": good}, rows) is None
    assert cross_fit(good, {"a": good}, np.array([True, True])) is None
    assert cross_fit(good, {"a": blank}, np.array([True, False])) is None


def test_missing_hits_are_left_out_and_relevance_is_looked_up() -> None:
    top = TopItems(np.array([[2, 0], [1, -1]]), np.array([[0.9, 0.5], [0.4, -np.inf]], np.float32))
    judged = Judged.of(top, Relevance.from_labels(np.array([7, 8]), np.array([8, 8, 7])))
    assert judged.is_relevant.tolist() == [[True, False], [True, False]]
    scores, relevant = judged.flat(np.array([0, 1]))
    assert scores == pytest.approx([0.9, 0.5, 0.4])
    assert relevant.tolist() == [True, False, True]


def test_each_query_gets_maps_of_the_other_half(rng: np.random.Generator) -> None:
    units = np.repeat(np.arange(11), 4)
    is_first = halve(units, rng)
    assert len({(u, f) for u, f in zip(units, is_first, strict=True)}) == 11  # units stay whole
    assert len(np.unique(units[is_first])) == 6
    scores, relevant = sampled(rng, 44 * 30, 9, -5)
    reference = Judged(scores.reshape(44, 30), relevant.reshape(44, 30))
    scale = np.where(is_first, 2.0, 5.0)[:, None]
    other = Judged(scale * reference.scores, reference.is_relevant)
    found = cross_fit(reference, {"other": other}, is_first)
    assert found is not None
    for mine, theirs in ((is_first, ~is_first), (~is_first, is_first)):
        (expected,) = (fit_maps(reference, {"other": other}, np.flatnonzero(theirs)) or {}).values()
        assert found["other"].scale[mine].tolist() == [expected.scale] * mine.sum()
        assert found["other"].offset[mine].tolist() == [expected.offset] * mine.sum()


@pytest.mark.parametrize(
    ("gains", "expected"),
    [
        ((0.1, 0.1, 0.1), True),
        ((0.2, 0.1, -0.01), False),  # worse at one share
        ((0.0, 0.0, 0.0), False),  # not better at any
        ((0.0, 0.0, 0.3), True),
        ((0.0, 0.0, 0.004), False),  # not shown
    ],
)
def test_the_calibrated_merge_must_be_shown_to_be_better(
    gains: tuple[float, ...], expected: bool, rng: np.random.Generator
) -> None:
    units = np.repeat(np.arange(80), 2)
    raw = [rng.uniform(0.2, 0.6, 160) for _ in gains]
    better = [ap + gain for ap, gain in zip(raw, gains, strict=True)]
    settings = {"confidence_level": 0.95, "n_resamples": 500}
    found = is_better(raw, better, units, **settings, rng=np.random.default_rng(1))  # type: ignore[arg-type] # two types of setting
    assert found is expected
