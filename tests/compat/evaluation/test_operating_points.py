"""Shares at recalibrated and deployed thresholds, against double loops over all pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from compat.evaluation import OperatingPoints, Relevance, _scoring, measure_points, verify
from registry.arrays import Float32Array, Int64Array

RATES, SCORES = (0.013, 0.1, 0.5), (2.0, -3.0)


def whole_vectors(rng: np.random.Generator, n: int, dim: int = 4) -> Float32Array:
    return rng.integers(-2, 2, (n, dim), endpoint=True).astype(np.float32)


class World:
    """Whole numbers, so that a loop in plain Python finds the very same scores, ties included."""

    def __init__(self, seed: int, *, n_queries: int = 40, n_items: int = 90) -> None:
        rng = np.random.default_rng(seed)
        self.queries, self.gallery = whole_vectors(rng, n_queries), whole_vectors(rng, n_items)
        self.labels = rng.integers(0, 12, n_items)
        self.labels[:12] = np.arange(12)
        self.asked = rng.integers(0, 12, n_queries)
        mine = [np.flatnonzero(self.labels == label) for label in self.asked]
        is_item = [len(rows) > 1 and rng.random() < 0.5 for rows in mine]
        self.excluded: Int64Array = np.array(
            [rows[0] if itself else -1 for rows, itself in zip(mine, is_item, strict=True)]
        )
        self.halves: Int64Array = (self.asked % 2).astype(np.int64)
        self.relevance = Relevance.from_labels(self.asked, self.labels)

    def scores(self, metric: str) -> tuple[list[list[float]], list[list[float]]]:
        """Scores of the genuine and of the impostor pairs of each query."""
        genuine: list[list[float]] = [[] for _ in self.queries]
        impostor: list[list[float]] = [[] for _ in self.queries]
        for q, query in enumerate(self.queries.tolist()):
            for i, item in enumerate(self.gallery.tolist()):
                if self.excluded[q] == i:
                    continue
                product = sum(a * b for a, b in zip(query, item, strict=True))
                distance = sum((a - b) ** 2 for a, b in zip(query, item, strict=True))
                kept = genuine if self.asked[q] == self.labels[i] else impostor
                kept[q].append(product if metric == "inner_product" else -distance)
        return genuine, impostor

    def measure(self, metric: Any = "inner_product", **given: Any) -> OperatingPoints:
        return measure_points(
            self.queries,
            given.pop("gallery", self.gallery),
            self.relevance,
            given.pop("halves", self.halves),
            excluded=self.excluded,
            metric=metric,
            **given,
        )


def naive_threshold(impostors: list[float], rate: float) -> float:
    """The smallest float32 at which no more than the declared share of impostors match."""
    candidates = sorted({float(np.nextafter(np.float32(s), np.float32(np.inf))) for s in impostors})
    n = len(impostors)
    return next(t for t in candidates if sum(s >= t for s in impostors) <= rate * n)


def share(scores: list[float], threshold: float) -> float:
    return sum(s >= threshold for s in scores) / len(scores)


def joined(scores: list[list[float]], rows: Any) -> list[float]:
    return [score for row in rows for score in scores[row]]


@pytest.mark.parametrize("metric", ["inner_product", "l2"])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_query_at_the_other_halfs_threshold(metric: str, seed: int) -> None:
    world = World(seed)
    genuine, impostor = world.scores(metric)
    found = world.measure(metric, false_match_rates=RATES)
    halves = [np.flatnonzero(world.halves == half).tolist() for half in (0, 1)]
    for rate in RATES:
        thresholds = [naive_threshold(joined(impostor, rows), rate) for rows in halves]
        one = found.verified[rate]
        assert one.halves == tuple(thresholds)
        assert one.threshold == naive_threshold(joined(impostor, range(40)), rate)
        n_false = 0
        for q in range(40):
            threshold = thresholds[1 - world.halves[q]]
            assert one.accepted[q] == share(genuine[q], threshold)
            n_false += sum(s >= threshold for s in impostor[q])
        assert one.error_rate == n_false / len(joined(impostor, range(40)))


@pytest.mark.parametrize("metric", ["inner_product", "l2"])
def test_every_query_searched_with_and_without_its_own_label(metric: str) -> None:
    world = World(12)
    genuine, impostor = world.scores(metric)
    found = world.measure(metric, false_positive_rates=RATES)
    best = [max(scores) for scores in impostor]
    assert found.impostor.tolist() == best
    assert found.genuine.tolist() == [max(scores) for scores in genuine]
    for rate in RATES:
        kept = [
            naive_threshold([best[q] for q in range(40) if world.halves[q] == half], rate)
            for half in (0, 1)
        ]
        one = found.identified[rate]
        assert one.halves == tuple(kept)
        assert one.threshold == naive_threshold(best, rate)
        at = [kept[1 - half] for half in world.halves]
        assert one.accepted.tolist() == [
            float(max(genuine[q]) > best[q] and max(genuine[q]) >= at[q]) for q in range(40)
        ]
        assert one.error_rate == sum(best[q] >= at[q] for q in range(40)) / 40
    assert any(max(genuine[q]) == best[q] for q in range(40))  # ties of mate and impostor occur


@pytest.mark.parametrize("metric", ["inner_product", "l2"])
def test_every_query_at_deployed_thresholds(metric: str) -> None:
    world = World(3)
    genuine, impostor = world.scores(metric)
    found = world.measure(metric, deployed=SCORES)
    for score in SCORES:
        one = found.deployed[score]
        for q in range(40):
            assert one.accepted[q] == share(genuine[q], score)
            assert one.rejected[q] == pytest.approx(1 - share(impostor[q], score), abs=1e-15)
        assert one.error_rate == share(joined(impostor, range(40)), score)


def test_the_curve_is_that_of_all_pairs() -> None:
    world = World(4)
    mine = world.measure(with_curve=True, false_match_rates=RATES).curve
    theirs = verify(
        world.queries,
        world.gallery,
        world.relevance,
        false_match_rates=[0.5],
        excluded=world.excluded,
    ).curve
    assert mine is not None
    assert set(mine.thresholds.tolist()) <= set(theirs.thresholds.tolist())
    assert len(theirs.thresholds) - len(mine.thresholds) <= 1  # that of the declared rate
    _, impostor = world.scores("inner_product")
    for threshold, rate in zip(mine.thresholds, mine.false_match_rates, strict=True):
        assert rate == pytest.approx(share(joined(impostor, range(40)), threshold), abs=1e-15)
    assert world.measure().curve is None


def test_many_pieces_are_as_one_matrix() -> None:
    world = World(5, n_queries=_scoring.ROWS + 40, n_items=_scoring.CHUNK + 700)
    scores = world.queries @ world.gallery.T
    scores[world.excluded >= 0, world.excluded[world.excluded >= 0]] = np.nan
    is_genuine = world.asked[:, None] == world.labels
    parts = [world.gallery[:3], world.gallery[3:4500], world.gallery[4500:]]
    found = world.measure(gallery=parts, false_match_rates=RATES, deployed=SCORES)
    assert found.impostor.tolist() == np.nanmax(np.where(is_genuine, np.nan, scores), 1).tolist()
    for rate in RATES:
        for half, threshold in enumerate(found.verified[rate].halves):
            mine = scores[world.halves == half][~is_genuine[world.halves == half]]
            mine = np.sort(mine[~np.isnan(mine)])[::-1]
            assert threshold == np.nextafter(mine[int(rate * len(mine))], np.float32(np.inf))
    n_impostor = (~is_genuine & ~np.isnan(scores)).sum(axis=1)
    n_false = (np.where(is_genuine, np.nan, scores) >= SCORES[0]).sum(axis=1)
    assert found.deployed[SCORES[0]].rejected == pytest.approx(1 - n_false / n_impostor)


def test_a_threshold_never_knows_the_queries_it_is_used_on() -> None:
    """Impostors of one half score higher: each half's threshold is the other's affair."""
    world = World(6)
    world.queries[world.halves == 1] *= 3
    found = world.measure(false_match_rates=[0.1]).verified[0.1]
    assert found.halves[1] > found.halves[0]
    assert found.error_rate > 0.1  # what was promised on one half is broken on the other
    same = world.measure(false_match_rates=[0.1], halves=1 - world.halves).verified[0.1]
    assert same.accepted.tolist() == found.accepted.tolist()
    assert same.halves == found.halves[::-1]


def test_what_cannot_be_measured_is_refused() -> None:
    world = World(7)
    with pytest.raises(ValueError, match=r"halves must be 0 and 1, both of them"):
        world.measure(false_match_rates=[0.1], halves=np.zeros(40, np.int64))
    with pytest.raises(ValueError, match=r"error rates must be in \(0, 1\)"):
        world.measure(false_positive_rates=[1.0])
    world.relevance = Relevance.from_labels(world.asked, np.full(90, 99))
    with pytest.raises(ValueError, match="40 of 40 queries have no genuine pair"):
        world.measure()
    everything = np.tile(np.arange(90), 40)
    world.relevance = Relevance(np.arange(41) * 90, everything, 90)
    with pytest.raises(ValueError, match="40 of 40 queries have no impostor pair"):
        world.measure()
