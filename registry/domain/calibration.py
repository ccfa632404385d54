"""Score maps: they bring the scores of one pair of versions onto the scale of another."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidInputError
from .canonical import Json

_STEADY = 10  # digits: products of matrices round differently elsewhere


@dataclass(frozen=True, slots=True)
class ScoreMap:
    """A rising straight line, ``scale * score + offset``. It never reorders what one pair found.

    Attributes:
        scale: positive and finite.
        offset: finite.
    """

    scale: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and math.isfinite(self.offset) and self.scale > 0):
            raise InvalidInputError(
                f"a score map has a positive scale and a finite offset, not {self.scale} and "
                f"{self.offset}"
            )

    def after(self, first: ScoreMap) -> ScoreMap:
        """Return the map that applies `first`, then this one."""
        return ScoreMap(self.scale * first.scale, self.scale * first.offset + self.offset)

    @property
    def inverse(self) -> ScoreMap:
        """The map that takes this one back."""
        return ScoreMap(1 / self.scale, -self.offset / self.scale)

    @property
    def is_identity(self) -> bool:
        """Whether it leaves every score as it is."""
        return self == AS_IT_IS

    def steady(self) -> ScoreMap:
        """Return it to ten digits, as certificates and events hold it."""
        return ScoreMap(_rounded(self.scale), _rounded(self.offset) + 0.0)

    def to_json(self) -> dict[str, Json]:
        """Return the map as JSON values."""
        return {"scale": self.scale, "offset": self.offset}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ScoreMap:
        """Read what `to_json` wrote."""
        return cls(float(value["scale"]), float(value["offset"]))


def read_maps(value: Mapping[str, Mapping[str, Any]]) -> dict[str, ScoreMap]:
    """Read maps by name."""
    return {name: ScoreMap.from_json(found) for name, found in value.items()}


AS_IT_IS = ScoreMap()


def _rounded(number: float) -> float:
    return float(f"{number:.{_STEADY}g}")
