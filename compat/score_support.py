"""Which error rates a probe set can say anything of, known before anything is measured.

Two floors, and the higher one holds. Of n independent units without one error a rate below about
3 / n cannot be told from 0 (the rule of three); pairs of one unit share fate, so units count, not
pairs. And a rate is measured, within a third, once it lets expect 30 errors among all trials (the
rule of thirty). All units and trials count, because each is tried once, at a threshold that it had
no part in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from registry.domain.score_metrics import ScoreMetric
from registry.errors import InvalidInputError

from .stats.thresholds import smallest_measurable_rate, smallest_supported_rate, units_to_support

_TRIALS = {"FAR": "impostor pairs", "FPIR": "searches"}


@dataclass(frozen=True, slots=True)
class ScoreSupport:
    """What a probe set has of each kind of trial.

    Attributes:
        n_units: independent units among the queries.
        n_pairs: impostor pairs, the trials of a FAR.
        n_searches: queries, each searched without its own label's items: the trials of a FPIR.
        confidence_level: of the policy.
    """

    n_units: int
    n_pairs: int
    n_searches: int
    confidence_level: float

    def smallest(self, at: str) -> float:
        """Return the smallest rate that is supported, of a ``FAR`` or a ``FPIR``; at most 1."""
        by_units = smallest_supported_rate(self.n_units, self.confidence_level)
        return max(by_units, smallest_measurable_rate(self._trials(at)))

    def check(self, metric: ScoreMetric) -> None:
        """Refuse a rate that is below what is supported.

        Raises:
            InvalidInputError: saying what was asked, what is supported, and what to do.
        """
        if metric.at not in _TRIALS:
            return
        least = self.smallest(metric.at)
        if self.n_units < 2 or least >= 1:
            raise InvalidInputError(
                f"{metric.measured}: this probe set supports no {metric.at} at all: "
                f"{self._described(metric.at)}",
                hint=self._needed(metric),
            )
        if metric.value < least:
            raise InvalidInputError(
                f"{metric.measured} is below what this probe set supports, a {metric.at} of "
                f"{rounded_up(least):g} or more: {self._described(metric.at)}",
                hint=f"ask for {metric.share}@{metric.at}={rounded_up(least):g}, or "
                f"{self._needed(metric)}",
            )

    def sentence(self, at: str) -> str:
        """Say what is supported."""
        return (
            f"The smallest {at} that this probe set supports is {rounded_up(self.smallest(at)):g}: "
            f"{self._described(at)}; nothing is said of smaller ones."
        )

    def _trials(self, at: str) -> int:
        return self.n_pairs if at == "FAR" else self.n_searches

    def _described(self, at: str) -> str:
        return f"{self.n_units} independent units, {self._trials(at)} {_TRIALS[at]}"

    def _needed(self, metric: ScoreMetric) -> str:
        units = units_to_support(metric.value, self.confidence_level)
        trials = math.ceil(30 / metric.value - 1e-9)
        return f"measure on at least {max(units, 2)} units and {trials} {_TRIALS[metric.at]}"


def rounded_up(rate: float) -> float:
    """Return a rate to three digits, never below it, so that it can be asked for."""
    scale = 10.0 ** (2 - math.floor(math.log10(rate)))
    return math.ceil(round(rate * scale, 6)) / scale
