"""Scores and thresholds of one cell, as they are kept with a certificate's evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from registry.arrays import Float32Array
from registry.domain.canonical import Json
from registry.errors import InvalidInputError

from .evaluation.operating_points import ErrorCurve, OperatingPoints
from .score_metrics import ScoreRules


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold, and what matches falsely at it.

    Attributes:
        name: ``FAR=0.01`` or ``FPIR=0.01``, a rate that is kept, or ``score=0.62``, deployed.
        threshold: that keeps the rate on all queries, or that is deployed.
        halves: those that keep the rate on either half of the units, each of which was used on the
            other half; none if it is deployed.
        error_rate: share of the impostor pairs (FAR), or of the searches for somebody who is not
            there (FPIR), that match, at thresholds that they had no part in.
    """

    name: str
    threshold: float
    halves: tuple[float, ...]
    error_rate: float

    @property
    def is_deployed(self) -> bool:
        """Whether the threshold was given and not found."""
        return not self.halves


@dataclass(frozen=True, slots=True, eq=False)
class ScoredCell:
    """Scores of one cell: best ones of every query, operating points, and the curve of all pairs.

    Attributes:
        genuine: best score of a genuine pair of each query. Shape: (n_queries,)
        impostor: best score of an impostor pair of it. Shape: (n_queries,)
        points: what was declared or deployed.
        curve: points of the ROC and DET curves.
    """

    genuine: Float32Array
    impostor: Float32Array
    points: tuple[OperatingPoint, ...]
    curve: ErrorCurve

    def to_json(self) -> dict[str, Json]:
        """Return the points and the curve, not the scores, as JSON values."""
        return {
            "points": [
                {
                    "name": point.name,
                    "threshold": point.threshold,
                    "halves": list(point.halves),
                    "error_rate": point.error_rate,
                }
                for point in self.points
            ],
            "curve": {
                "thresholds": self.curve.thresholds.tolist(),
                "false_match_rates": self.curve.false_match_rates.tolist(),
                "false_non_match_rates": self.curve.false_non_match_rates.tolist(),
            },
        }

    @classmethod
    def from_json(
        cls, value: Mapping[str, Any], genuine: Float32Array, impostor: Float32Array
    ) -> ScoredCell:
        """Read what `to_json` wrote, with the scores that belong to it.

        Raises:
            InvalidInputError: if it is nothing of the kind.
        """
        try:
            points = tuple(
                OperatingPoint(
                    str(one["name"]),
                    float(one["threshold"]),
                    tuple(float(half) for half in one["halves"]),
                    float(one["error_rate"]),
                )
                for one in value["points"]
            )
            curve = value["curve"]
            found = ErrorCurve(
                np.array(curve["thresholds"], np.float32),
                np.array(curve["false_match_rates"], np.float64),
                np.array(curve["false_non_match_rates"], np.float64),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInputError(f"operating points cannot be read: {error!r}") from error
        return cls(genuine, impostor, points, found)


def scored_cell(points: OperatingPoints | None, rules: ScoreRules | None) -> ScoredCell | None:
    """Return what is kept of what was measured, or None if no scores or no curve were."""
    if points is None or points.curve is None or rules is None:
        return None
    return ScoredCell(points.genuine, points.impostor, tuple(_points(points, rules)), points.curve)


def _points(points: OperatingPoints, rules: ScoreRules) -> Sequence[OperatingPoint]:
    found = {}
    for metric in rules.metrics:
        name, value = metric.point, metric.value
        if metric.at == "score":
            rate = points.deployed[value].error_rate
            found[name] = OperatingPoint(name, value, (), rate)
        else:
            kept = (points.verified if metric.at == "FAR" else points.identified)[value]
            found[name] = OperatingPoint(name, kept.threshold, kept.halves, kept.error_rate)
    return tuple(found.values())
