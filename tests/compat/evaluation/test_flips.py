from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compat.evaluation import (
    Relevance,
    find_flips,
    flip_rates,
    guarantee_first_hits,
    guarantee_hits,
    guarantee_top,
    score_rankings,
)
from compat.evaluation.ranking import TopItems
from registry.arrays import Float32Array


def unit(array: Any) -> Float32Array:
    vectors = np.asarray(array, dtype=np.float64)
    vectors = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.ascontiguousarray(vectors, dtype=np.float32)


def test_flips_of_every_query() -> None:
    old, new = np.array([1.0, 1.0, 0.0, 0.0, 0.5]), np.array([1.0, 0.0, 1.0, 0.0, 0.5])
    flips = find_flips(old, new)
    assert flips.negative.tolist() == [0, 1, 0, 0, 0.25]
    assert flips.positive.tolist() == [0, 0, 1, 0, 0.25]
    assert (flips.positive_rate, flips.negative_rate) == flip_rates(old, new)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=20))
@settings(max_examples=100, deadline=None)
def test_the_difference_of_the_rates_is_that_of_the_means(pairs: list[tuple[float, float]]) -> None:
    old, new = np.array(pairs).T
    flips = find_flips(old, new)
    delta = flips.positive_rate - flips.negative_rate
    assert delta == pytest.approx(new.mean() - old.mean(), abs=1e-12)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [([1.0], [1.0, 0.0], "one length"), ([], [], "one length"), ([1.5], [0.0], r"in \[0, 1\]")],
)
def test_hits_are_checked(old: list[float], new: list[float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        find_flips(np.array(old), np.array(new))


# --- the bound


class World:
    """Old queries near their class, and new ones moved by an angle, maybe straight at a rival."""

    def __init__(self, seed: int, dim: int, largest: float, *, worst: bool) -> None:
        rng = np.random.default_rng(seed)
        n_items, n_queries, n_classes = 30, 40, 6
        self.labels = rng.integers(0, n_classes, n_items)
        self.asked = rng.choice(self.labels, n_queries)
        centres = rng.standard_normal((n_classes, dim))
        noise = rng.choice([0.05, 0.5])
        self.gallery = unit(centres[self.labels] + noise * rng.standard_normal((n_items, dim)))
        near = centres[self.asked] + noise * rng.standard_normal((n_queries, dim))
        self.old = unit(near)
        away = rng.standard_normal((n_queries, dim))
        if worst:  # straight from the best relevant item to the best rival
            scores = self.old @ self.gallery.T
            is_mate = self.asked[:, None] == self.labels[None]
            mate = self.gallery[np.where(is_mate, scores, -9).argmax(axis=1)]
            rival = self.gallery[np.where(is_mate, -9, scores).argmax(axis=1)]
            away = rival.astype(np.float64) - mate
        away -= (away * self.old).sum(axis=1, keepdims=True) * self.old
        angle = rng.uniform(0, largest, (n_queries, 1))
        self.new = unit(np.cos(angle) * self.old + np.sin(angle) * unit(away + 1e-12))
        self.relevance = Relevance.from_labels(self.asked, self.labels)

    def hit(self, queries: Float32Array, k: int) -> Any:
        return score_rankings(queries, self.gallery, self.relevance, ks=(k,)).hit[k]


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([2, 3, 16]),
    st.sampled_from([0.02, 0.2, 1.0, 3.14]),
    st.booleans(),
    st.sampled_from([1, 2, 5]),
)
@settings(max_examples=300, deadline=None)
def test_no_guaranteed_query_ever_flips(
    seed: int, dim: int, largest: float, worst: bool, k: int
) -> None:
    world = World(seed, dim, largest, worst=worst)
    found = guarantee_hits(world.old, world.new, world.gallery, world.relevance, k=k)
    old_hit, new_hit = world.hit(world.old, k), world.hit(world.new, k)
    assert np.all(old_hit[found.is_guaranteed] == 1)
    assert np.all(new_hit[found.is_guaranteed] == 1)
    flips = find_flips(old_hit, new_hit)
    assert flips.negative_rate <= 1 - found.coverage


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.05, 0.5]), st.booleans())
@settings(max_examples=100, deadline=None)
def test_no_guaranteed_first_item_ever_changes(seed: int, largest: float, worst: bool) -> None:
    world = World(seed, 8, largest, worst=worst)
    scores = world.old @ world.gallery.T
    found = guarantee_top(world.old, world.new, -np.sort(-scores, axis=1)[:, :2])
    is_same = scores.argmax(axis=1) == (world.new @ world.gallery.T).argmax(axis=1)
    assert np.all(is_same[found.is_guaranteed])


def test_the_bound_covers_most_small_movements_and_is_not_idle() -> None:
    world = World(1, 16, 0.05, worst=True)
    found = guarantee_hits(world.old, world.new, world.gallery, world.relevance)
    assert 0.3 < found.coverage <= 1
    still = guarantee_hits(world.old, world.old, world.gallery, world.relevance)
    is_hit = world.hit(world.old, 1) == 1
    assert np.array_equal(still.is_guaranteed, is_hit & (still.margin > 1e-4))


@pytest.mark.parametrize("k", [1, 3])
def test_margin_and_movement_are_what_a_double_loop_finds(k: int) -> None:
    world = World(2, 5, 0.4, worst=False)
    excluded = np.where(np.arange(40) % 3 == 0, np.arange(40) % 30, -1)
    found = guarantee_hits(
        world.old, world.new, world.gallery, world.relevance, k=k, excluded=excluded
    )
    for q in range(40):
        scores = [float(np.dot(world.old[q], item)) for item in world.gallery]
        kept = [i for i in range(30) if i != excluded[q]]
        mates = [scores[i] for i in kept if world.labels[i] == world.asked[q]]
        rivals = sorted(
            (scores[i] for i in kept if world.labels[i] != world.asked[q]), reverse=True
        )
        if mates:
            assert found.margin[q] == pytest.approx(max(mates) - rivals[k - 1], abs=1e-6)
        else:
            assert found.margin[q] == -math.inf
        cosine = float(np.dot(world.old[q].astype(float), world.new[q].astype(float)))
        assert found.movement[q] == pytest.approx(math.acos(min(cosine, 1.0)), abs=1e-5)
        if not (mates and found.movement[q] < 2 * math.asin(max(found.margin[q], 0) / 4)):
            assert not found.is_guaranteed[q]


def test_the_bound_is_tight() -> None:
    """Two opposite items, and a query that moves straight from one to the other."""
    gallery = unit([[1, 0], [-1, 0]])
    relevance = Relevance.from_labels(np.array([0]), np.array([0, 1]))
    start = math.radians(80)  # margin 2 cos 80° = 0.347: ten degrees from the equator
    old = unit([[math.cos(start), math.sin(start)]])
    limit = 2 * math.asin(2 * math.cos(start) / 4)
    assert limit == pytest.approx(math.radians(10), rel=0.01)
    for moved, is_safe in ((0.999 * limit, True), (1.001 * limit, False)):
        new = unit([[math.cos(start + moved), math.sin(start + moved)]])
        found = guarantee_hits(old, new, gallery, relevance)
        assert found.is_guaranteed.tolist() == [is_safe]


@pytest.mark.parametrize("k", [1, 3, 10])
def test_the_first_items_are_enough_for_a_guarantee_and_never_promise_more(k: int) -> None:
    world = World(4, 8, 0.03, worst=False)
    excluded = np.where(np.arange(40) % 3 == 0, np.arange(40) % 30, -1)
    whole = guarantee_hits(world.old, world.new, world.gallery, world.relevance, excluded=excluded)
    lost = np.where(np.arange(30) == excluded[:, None], -np.inf, world.old @ world.gallery.T)
    positions = np.argsort(-lost, axis=1, kind="stable")[:, :k]
    top = TopItems(positions, np.take_along_axis(lost, positions, axis=1).astype(np.float32))
    is_relevant = world.labels[positions] == world.asked[:, None]
    found = guarantee_first_hits(world.old, world.new, top, is_relevant)
    assert not np.any(found.is_guaranteed & ~whole.is_guaranteed)
    is_known = ~is_relevant.all(axis=1) & is_relevant[:, 0]
    assert found.margin[is_known] == pytest.approx(whole.margin[is_known], abs=1e-6)
    assert np.array_equal(found.is_guaranteed[is_known], whole.is_guaranteed[is_known])
    assert found.is_guaranteed.any() == (k > 1)
    with pytest.raises(ValueError, match=r"is_relevant is of shape \(39, "):
        guarantee_first_hits(world.old, world.new, top, is_relevant[1:])


def test_first_items_that_are_all_relevant_and_all_there_are_lose_to_nobody() -> None:
    old = unit([[1, 0, 0]])
    top = TopItems(np.array([[0, 1, -1]]), np.array([[1, 0.5, -np.inf]], np.float32))
    is_relevant = np.array([[True, True, False]])
    assert guarantee_first_hits(old, -old, top, is_relevant).coverage == 1
    assert guarantee_first_hits(old, old, top, ~is_relevant).coverage == 0


def test_nothing_that_could_displace_the_hit_is_a_guarantee() -> None:
    gallery = unit(np.eye(3))
    relevance = Relevance.from_labels(np.array([0, 0]), np.array([0, 0, 1]))
    old = unit([[1, 1, 1], [1, 0, 0]])
    found = guarantee_hits(old, -old, gallery, relevance, k=2)
    assert found.is_guaranteed.all()
    assert not guarantee_hits(old, -old, gallery, relevance, k=1).is_guaranteed.any()
    nobody = Relevance.from_labels(np.array([9, 9]), np.array([0, 0, 1]))
    assert guarantee_hits(old, old, gallery, nobody, k=5).coverage == 0


def test_a_zero_item_has_no_direction_and_does_no_harm() -> None:
    gallery = np.vstack([unit(np.eye(3)), np.zeros((1, 3), np.float32)])
    relevance = Relevance.from_labels(np.array([0]), np.array([0, 1, 1, 1]))
    old = unit([[1, 0, 0]])
    assert guarantee_hits(old, old, gallery, relevance).coverage == 1


def test_wrong_arguments_are_refused() -> None:
    vectors = unit(np.eye(3))
    relevance = Relevance.from_labels(np.arange(3), np.arange(3))
    with pytest.raises(ValueError, match="of unit length but 3 are not, such as one of norm 2"):
        guarantee_hits(2 * vectors, vectors, vectors, relevance)
    with pytest.raises(ValueError, match="of unit length but 3 are not"):
        guarantee_hits(vectors, vectors, 2 * vectors, relevance)
    with pytest.raises(ValueError, match="of unit length"):
        guarantee_hits(vectors, vectors * np.float32(np.nan), vectors, relevance)
    with pytest.raises(ValueError, match=r"one space, row by row, .* \(3, 3\) and \(3, 4\)"):
        guarantee_hits(vectors, unit(np.eye(3, 4)), vectors, relevance)
    with pytest.raises(ValueError, match="k must be at least 1"):
        guarantee_hits(vectors, vectors, vectors, relevance, k=0)
    with pytest.raises(ValueError, match=r"must be \(3, at least 2\) but is \(3, 1\)"):
        guarantee_top(vectors, vectors, vectors[:, :1])
