"""Several promotions and rollbacks in a row keep one scale: that of the first version."""

from __future__ import annotations

from dataclasses import replace

import pytest

from registry.domain.calibration import ScoreMap
from registry.domain.certificates import Certificate
from registry.domain.promotions import SAME_SPACE, Serving
from registry.domain.refs import VersionRef
from registry.domain.scales import promoted_scale, rolled_back_scale

from .certificates import certificate

FIRST = Serving(1, (1,), {1: SAME_SPACE})
# log-odds of each pair, slope and intercept; a map leads from one to another
ODDS = {
    (1, 1): (8.0, -5.0),
    (2, 1): (10.0, -5.5),
    (2, 2): (5.0, -1.0),
    (1, 2): (9.0, -6.0),
    (3, 1): (7.0, -2.0),
    (3, 2): (6.0, -4.0),
    (3, 3): (3.0, 1.0),
}


def onto(pair: tuple[int, int], reference: tuple[int, int]) -> ScoreMap:
    (a, b), (c, d) = ODDS[pair], ODDS[reference]
    return ScoreMap(a / c, (b - d) / c)


def proof(query: int, held: int, baseline: int) -> Certificate:
    """A certificate whose maps are those of `ODDS`."""
    old = held if query != baseline else query
    new = query if query != baseline else held
    pairs = {
        f"products@{query} -> products@{n}": onto((query, n), (baseline,) * 2) for n in (old, new)
    }
    return replace(
        certificate(),
        query_version=VersionRef("products", query),
        gallery_version=VersionRef("products", held),
        baseline_version=VersionRef("products", baseline),
        calibration=pairs,
    )


def same(found: object, expected: dict[int, ScoreMap]) -> bool:
    assert isinstance(found, dict)
    assert found.keys() == expected.keys()
    for number, one in expected.items():
        assert found[number].scale == pytest.approx(one.scale)
        assert found[number].offset == pytest.approx(one.offset)
    return True


def test_a_chain_of_promotions_leads_back_to_the_first_version() -> None:
    second = promoted_scale([FIRST], 2, {1: proof(2, 1, 1)})
    assert same(second, {n: onto((2, n), (1, 1)) for n in (1, 2)})
    stack = [FIRST, Serving(2, (2,), {1: "c", 2: SAME_SPACE}, calibration=second)]
    third = promoted_scale(stack, 3, {1: proof(3, 1, 1), 2: proof(3, 2, 2)})
    assert same(third, {n: onto((3, n), (1, 1)) for n in (1, 2, 3)})
    # the first version's vectors are all gone
    assert same(promoted_scale(stack, 3, {2: proof(3, 2, 2)}), {n: third[n] for n in (2, 3)})


def test_the_way_back_leads_to_the_scale_too() -> None:
    found = rolled_back_scale(FIRST, {2: proof(1, 2, 1)})
    assert same(found, {1: ScoreMap(), 2: onto((1, 2), (1, 1))})
    second = Serving(
        2,
        (2,),
        {1: "c", 2: SAME_SPACE},
        calibration={n: onto((2, n), (1, 1)) for n in (1, 2)},
    )
    found = rolled_back_scale(second, {1: proof(2, 1, 1)})
    assert same(found, dict(second.calibration))
    # promoted again, on the certificate of the way back
    stack = [FIRST, second]
    assert same(
        promoted_scale(stack, 1, {2: proof(1, 2, 1)}), {1: ScoreMap(), 2: onto((1, 2), (1, 1))}
    )


def test_one_map_for_all_stays_one_map() -> None:
    """Where certificates keep raw scores, their order is kept exactly."""
    shared = ScoreMap(1.1234567891, 0.0301)
    flat = {
        held: replace(
            proof(3, held, held),
            calibration={f"products@3 -> products@{n}": shared for n in (held, 3)},
        )
        for held in (1, 2)
    }
    second = Serving(2, (2,), {1: "c", 2: SAME_SPACE}, calibration=dict.fromkeys((1, 2), shared))
    found = promoted_scale([FIRST, second], 3, flat)
    assert len(set(found.values())) == 1


def test_without_maps_raw_scores_are_served() -> None:
    blank = replace(proof(3, 2, 2), calibration={})
    assert promoted_scale([FIRST], 3, {1: proof(3, 1, 1), 2: blank}) == {}
    assert promoted_scale([FIRST], 2, {}) == {}
    assert promoted_scale([FIRST], 3, {2: proof(3, 2, 2)}) == {}  # the second never was in charge
    assert rolled_back_scale(FIRST, {2: replace(proof(1, 2, 1), calibration={})}) == {}
    assert rolled_back_scale(FIRST, {}) == {}
