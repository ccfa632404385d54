from __future__ import annotations

import math

import pytest

from registry.domain.calibration import AS_IT_IS, ScoreMap
from registry.errors import InvalidInputError


def value(to_scale: ScoreMap, score: float) -> float:
    return to_scale.scale * score + to_scale.offset


def test_maps_are_chained_and_taken_back() -> None:
    first, second = ScoreMap(2.0, -0.5), ScoreMap(0.3, 4.0)
    for score in (-1.0, 0.0, 0.7):
        assert value(second.after(first), score) == pytest.approx(
            value(second, value(first, score))
        )
        assert value(first.inverse, value(first, score)) == pytest.approx(score)
    assert AS_IT_IS.is_identity
    assert AS_IT_IS.after(first) == first.after(AS_IT_IS) == first
    assert not first.is_identity


def test_it_is_kept_to_ten_digits_and_read_back() -> None:
    found = ScoreMap(1 / 3, -1e-5 / 7).steady()
    assert found.to_json() == {"scale": 0.3333333333, "offset": -1.428571429e-06}
    assert ScoreMap.from_json(found.to_json()) == found
    assert math.copysign(1, ScoreMap(1.0, -0.0).steady().offset) == 1


@pytest.mark.parametrize(
    ("scale", "offset"), [(0.0, 0.0), (-1.0, 0.0), (math.nan, 0.0), (math.inf, 0.0), (1, math.inf)]
)
def test_what_does_not_rise_or_is_no_number_is_refused(scale: float, offset: float) -> None:
    with pytest.raises(InvalidInputError, match="a score map has a positive scale"):
        ScoreMap(scale, offset)
