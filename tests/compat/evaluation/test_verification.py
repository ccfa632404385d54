from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from compat.evaluation import Relevance, Verification, _scoring, false_match_ratios, verify
from compat.evaluation._impostors import bin_of_rank, keys_of, score_of
from registry.arrays import Float32Array, Int64Array


def whole_vectors(rng: np.random.Generator, n: int, dim: int = 4) -> Float32Array:
    return rng.integers(-2, 2, (n, dim), endpoint=True).astype(np.float32)


class Pairs:
    """Every score of a small world in plain lists: (query, score, is genuine)."""

    def __init__(self, seed: int, *, n_queries: int = 30, n_items: int = 90) -> None:
        rng = np.random.default_rng(seed)
        self.queries, self.gallery = whole_vectors(rng, n_queries), whole_vectors(rng, n_items)
        self.labels = rng.integers(0, 12, n_items)
        self.asked = rng.integers(0, 15, n_queries)  # some are nobody's
        self.excluded = np.where(rng.random(n_queries) < 0.5, rng.integers(0, n_items), -1)
        self.relevance = Relevance.from_labels(self.asked, self.labels)

    def scores(self, metric: str) -> list[tuple[int, float, bool]]:
        found = []
        for q, query in enumerate(self.queries.tolist()):
            for i, item in enumerate(self.gallery.tolist()):
                product = sum(a * b for a, b in zip(query, item, strict=True))
                distance = sum((a - b) ** 2 for a, b in zip(query, item, strict=True))
                score = product if metric == "inner_product" else -distance
                if self.excluded[q] != i:
                    found.append((q, score, bool(self.asked[q] == self.labels[i])))
        return found

    def verify(self, metric: Any, **given: Any) -> Verification:
        return verify(
            self.queries,
            self.gallery,
            self.relevance,
            excluded=self.excluded,
            metric=metric,
            **given,
        )


def naive_threshold(impostors: list[float], rate: float) -> float:
    """The smallest float32 at which no more than the declared share of impostors match."""
    candidates = sorted({float(np.nextafter(np.float32(s), np.float32(np.inf))) for s in impostors})
    n = len(impostors)
    return next(t for t in candidates if sum(s >= t for s in impostors) <= rate * n)


@pytest.mark.parametrize("metric", ["inner_product", "l2"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equals_a_double_loop(metric: str, seed: int) -> None:
    world = Pairs(seed)
    rates, deployed = [0.013, 0.1, 0.5], np.array([2.0, -3.0], np.float32)
    found = world.verify(metric, false_match_rates=rates, deployed=deployed)
    pairs = world.scores(metric)
    impostors = [score for _, score, is_genuine in pairs if not is_genuine]
    genuine = [score for _, score, is_genuine in pairs if is_genuine]
    thresholds = found.recalibrated.thresholds.tolist()
    assert thresholds == [naive_threshold(impostors, rate) for rate in rates]
    assert found.deployed is not None
    for counts in (found.recalibrated, found.deployed):
        for column, t in enumerate(counts.thresholds.tolist()):
            for q in range(len(world.queries)):
                mine = [(s, is_genuine) for query, s, is_genuine in pairs if query == q]
                assert counts.genuine[q, column] == sum(s >= t for s, g in mine if g)
                assert counts.impostor[q, column] == sum(s >= t for s, g in mine if not g)
                assert counts.n_genuine[q] == sum(g for _, g in mine)
                assert counts.n_impostor[q] == sum(not g for _, g in mine)
            fmr = sum(s >= t for s in impostors) / len(impostors)
            fnmr = sum(s < t for s in genuine) / len(genuine)
            assert counts.false_match_rate[column] == pytest.approx(fmr, abs=1e-15)
            assert counts.false_non_match_rate[column] == pytest.approx(fnmr, abs=1e-12)
    assert np.all(found.recalibrated.false_match_rate <= rates)


@pytest.mark.parametrize("metric", ["inner_product", "l2"])
def test_every_point_of_the_curve_is_exact(metric: str) -> None:
    world = Pairs(5)
    curve = world.verify(metric, false_match_rates=[0.1]).curve
    pairs = world.scores(metric)
    for t, fmr, fnmr in zip(
        curve.thresholds.tolist(),
        curve.false_match_rates.tolist(),
        curve.false_non_match_rates.tolist(),
        strict=True,
    ):
        impostors = [s >= t for _, s, is_genuine in pairs if not is_genuine]
        genuine = [s < t for _, s, is_genuine in pairs if is_genuine]
        assert fmr == pytest.approx(sum(impostors) / len(impostors), abs=1e-15)
        assert fnmr == pytest.approx(sum(genuine) / len(genuine), abs=1e-15)
    assert np.all(np.diff(curve.thresholds) < 0)
    assert np.all(np.diff(curve.false_match_rates) > 0)
    assert np.all(np.diff(curve.false_non_match_rates) <= 0)
    assert curve.false_match_rates[0] == 0  # the best impostors tie: one alone cannot be let in
    assert curve.false_match_rates[-1] > 0.9


def test_points_are_spread_over_the_decades() -> None:
    rng = np.random.default_rng(2)
    queries, gallery = (rng.standard_normal((n, 8)).astype(np.float32) for n in (60, 5000))
    relevance = Relevance.from_labels(np.arange(60), np.arange(5000) % 100)
    rates = verify(queries, gallery, relevance, false_match_rates=[0.01]).curve.false_match_rates
    per_decade = np.bincount(np.floor(-np.log10(rates)).astype(int))
    assert rates[0] == pytest.approx(1 / (60 * 4950))
    assert np.all(per_decade[:5] >= 8)


def test_order_and_blocks_of_the_gallery_do_not_matter() -> None:
    rng = np.random.default_rng(4)
    n = _scoring.CHUNK + 700
    gallery = rng.standard_normal((n, 6)).astype(np.float32)[rng.integers(0, n // 2, n)]
    queries = rng.standard_normal((_scoring.ROWS + 40, 6)).astype(np.float32)
    labels, asked = np.arange(n) % 50, np.arange(len(queries)) % 60
    order = rng.permutation(n)
    one = verify(queries, gallery, Relevance.from_labels(asked, labels), false_match_rates=[1e-3])
    blocks = [gallery[order[:10]], gallery[order[10:]]]
    relevance = Relevance.from_labels(asked, labels[order])
    other = verify(queries, blocks, relevance, false_match_rates=[1e-3])
    assert one.recalibrated.thresholds.tolist() == other.recalibrated.thresholds.tolist()
    assert np.array_equal(one.recalibrated.impostor, other.recalibrated.impostor)
    assert np.array_equal(one.recalibrated.genuine, other.recalibrated.genuine)
    assert np.array_equal(one.curve.false_match_rates, other.curve.false_match_rates)


def test_a_deployed_threshold_is_not_adapted() -> None:
    """A new model whose scores are all higher matches more at the old threshold."""
    world = Pairs(3)
    old = world.verify("inner_product", false_match_rates=[0.05])
    deployed = old.recalibrated.thresholds
    world.queries *= 1.5
    new = world.verify("inner_product", false_match_rates=[0.05], deployed=deployed)
    assert new.deployed is not None
    ratio = false_match_ratios(new.deployed, old.recalibrated)
    expected = new.deployed.false_match_rate / old.recalibrated.false_match_rate
    assert ratio.tolist() == expected.tolist()
    assert ratio[0] > 1.5
    assert new.recalibrated.thresholds[0] == pytest.approx(deployed[0] * 1.5, rel=1e-6)
    with pytest.raises(ValueError, match="the same thresholds"):
        false_match_ratios(new.recalibrated, old.recalibrated)


@pytest.mark.parametrize(
    ("rates", "says"),
    [
        (
            [0.001],
            r"0.001 lets expect fewer than 30 .*; they support 0.0\d+ or more, and",
        ),
        ([0.0], "in (0, 1)"),
        ([0.2, 1.0], "in (0, 1)"),
        ([math.nan], "in (0, 1)"),
    ],
)
def test_impossible_rates_are_refused(rates: list[float], says: str) -> None:
    pattern = says if "expect" in says else says.replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(ValueError, match=pattern):
        Pairs(0).verify("inner_product", false_match_rates=rates)


def test_the_smallest_rate_is_the_rule_of_30() -> None:
    world = Pairs(0)
    n = sum(not is_genuine for _, _, is_genuine in world.scores("inner_product"))
    world.verify("inner_product", false_match_rates=[30 / n])
    with pytest.raises(ValueError, match=f"fewer than 30 errors in {n} impostor pairs"):
        world.verify("inner_product", false_match_rates=[29.9 / n])
    world.verify("inner_product", false_match_rates=[3 / n], min_errors=3)


def test_worlds_without_a_kind_of_pair_are_refused() -> None:
    vectors = np.eye(3, dtype=np.float32)
    everyone = Relevance.from_labels(np.zeros(3, np.int64), np.zeros(3, np.int64))
    nobody = Relevance.from_labels(np.full(3, 1), np.zeros(3, np.int64))
    with pytest.raises(ValueError, match="impostor pairs but there are none"):
        verify(vectors, vectors, everyone, false_match_rates=[0.5])
    with pytest.raises(ValueError, match="no genuine pairs"):
        verify(vectors, vectors, nobody, false_match_rates=[0.5], min_errors=1)
    half = Relevance.from_labels(np.zeros(3, np.int64), np.array([0, 0, 1]))
    given: Any = {"false_match_rates": [0.5], "min_errors": 1}
    with pytest.raises(ValueError, match="'inner_product' or 'l2' but got 'cosine'"):
        verify(vectors, vectors, half, metric="cosine", **given)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="1-d array of thresholds"):
        verify(vectors, vectors, half, deployed=np.array([np.nan], np.float32), **given)
    with pytest.raises(ValueError, match="scores must be finite"):
        verify(np.full((3, 3), np.nan, np.float32), vectors, half, **given)
    with pytest.raises(ValueError, match="3 gallery items but the gallery has 2 in all"):
        verify(vectors, vectors[:2], half, **given)


# --- exact quantiles by bits


FINITE = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(hnp.arrays(np.float32, st.integers(1, 50), elements=FINITE))
@settings(max_examples=200, deadline=None)
def test_keys_are_ordered_as_scores(scores: Float32Array) -> None:
    keys = keys_of(scores)
    for a, key_a in zip(scores, keys, strict=True):
        assert score_of(int(key_a)) == a
        for b, key_b in zip(scores, keys, strict=True):
            assert (a < b) == (key_a < key_b)
            assert (a == b) == (key_a == key_b)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=8).filter(any), st.data())
@settings(max_examples=100, deadline=None)
def test_the_bin_of_a_rank(sizes: list[int], data: st.DataObject) -> None:
    counts: Int64Array = np.array(sizes, dtype=np.int64)
    rank = data.draw(st.integers(0, sum(sizes) - 1))
    from_the_top = [(b, i) for b in reversed(range(len(sizes))) for i in range(sizes[b])]
    assert bin_of_rank(counts, rank) == from_the_top[rank]
