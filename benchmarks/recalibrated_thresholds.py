"""How often TAR@FAR is certified falsely, for the thresholds themselves are estimates.

Impostor scores of a unit are normal around a mean of its own, genuine ones around a mean that gives
the old model a TAR of 0.8 at the threshold that truly keeps the FAR, and the new model 0.8 less the
margin: certifying it is always wrong. Thresholds are those true ones (as a deployed score is), or
recalibrated on the other half of the units, as the certifier does. The bound takes thresholds as
given, so what they vary by is not in it.

Usage: python -m benchmarks.recalibrated_thresholds [--trials 2000] [--units 100 400]
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import asdict, dataclass
from itertools import product

import numpy as np
from scipy.stats import norm

from benchmarks.measuring import report
from compat.score_metrics import split_units
from compat.stats.binomial import rate_bounds
from compat.stats.bounds import paired_difference_bounds
from registry.arrays import Float64Array, Int64Array

ALPHA, FAR, TAR, MARGIN = 0.05, 0.05, 0.8, 0.1
OWN_SHARES = (0.0, 0.2, 0.5)  # of the impostor scores' variance: what differs between units
ALIKE = (0.0, 0.8)  # correlation of that between the old and the new model
N_IMPOSTORS = 200
METHODS = ("deployed", "recalibrated")


@dataclass(frozen=True, slots=True)
class World:
    """What scores are drawn from; the variance of impostor scores is 1.

    Attributes:
        n_units: units, with one genuine pair each.
        own_share: share of the variance of impostor scores that is the unit's own.
        alike: how far that is the same in both models.
    """

    n_units: int
    own_share: float
    alike: float

    def draw(self, rng: np.random.Generator) -> list[tuple[Float64Array, Float64Array]]:
        """Return genuine and impostor scores of the old and of the new model.

        Shapes: (n_units,) and (n_units, N_IMPOSTORS).
        """
        common = rng.standard_normal((2, self.n_units))
        found = []
        for tar in (TAR, TAR - MARGIN):
            own = self._near(common[0], self.alike, rng) * math.sqrt(self.own_share)
            rest = rng.standard_normal((self.n_units, N_IMPOSTORS))
            genuine = true_threshold() + norm.ppf(tar) + self._near(common[1], 0.5, rng)
            found.append((genuine, own[:, None] + math.sqrt(1 - self.own_share) * rest))
        return found

    def _near(self, common: Float64Array, alike: float, rng: np.random.Generator) -> Float64Array:
        more = rng.standard_normal(self.n_units)
        return math.sqrt(alike) * common + math.sqrt(1 - alike) * more


def true_threshold() -> float:
    """Return the threshold that keeps the FAR among all impostors there are."""
    return float(norm.isf(FAR))


def other_halfs(impostor: Float64Array, halves: Int64Array) -> Float64Array:
    """Return for each unit the threshold that keeps the FAR on the half that it is not in."""
    kept = []
    for half in (0, 1):
        scores = np.sort(impostor[halves == half].ravel())[::-1]
        kept.append(np.nextafter(scores[int(FAR * len(scores))], np.inf))
    return np.array(kept)[1 - halves]


def certified(world: World, n_trials: int, n_resamples: int, seed: int) -> dict[str, int]:
    """Return how many trials each method certifies; none should be."""
    rng, units = np.random.default_rng(seed), np.arange(world.n_units)
    counts = dict.fromkeys(METHODS, 0)
    for trial in range(n_trials):
        halves = split_units(units, trial)
        pairs = world.draw(rng)
        for method in METHODS:
            accepted = [
                genuine >= (true_threshold() if method == "deployed" else other_halfs(i, halves))
                for genuine, i in pairs
            ]
            old, new = (found.astype(np.float64) for found in accepted)
            low = paired_difference_bounds(
                old, new, units, confidence_level=1 - ALPHA, n_resamples=n_resamples, rng=rng
            ).low
            counts[method] += low >= -MARGIN
    return counts


def false_rates(options: argparse.Namespace) -> list[dict[str, object]]:
    """Return the rates of false certificates, with 99 % bounds."""
    rows: list[dict[str, object]] = []
    settings = product(options.units, OWN_SHARES, ALIKE)
    for seed, (n_units, own_share, alike) in enumerate(settings):
        world = World(n_units, own_share, alike)
        counts = certified(world, options.trials, options.resamples, seed)
        rates = {
            method: asdict(rate_bounds(count, options.trials, confidence_level=0.99))
            for method, count in counts.items()
        }
        rows.append(
            {
                **asdict(world),
                "rate": {method: round(found["estimate"], 4) for method, found in rates.items()},
                "exceeds": [method for method, found in rates.items() if found["low"] > ALPHA],
            }
        )
    return rows


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2_000)
    parser.add_argument("--resamples", type=int, default=1_000)
    parser.add_argument("--units", type=int, nargs="+", default=[100, 400])
    parser.add_argument("--name", default="recalibrated_thresholds")
    options = parser.parse_args()
    began = time.perf_counter()
    rows = false_rates(options)
    settings = {"alpha": ALPHA, "far": FAR, "margin": MARGIN, "trials": options.trials}
    seconds = round(time.perf_counter() - began)
    report(options.name, {"settings": settings, "false_rates": rows, "seconds": seconds})


if __name__ == "__main__":
    main()
