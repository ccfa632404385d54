"""Paired differences, candidate minus baseline, as a report tells them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compat.evaluation.flips import Flips, find_flips
from registry.arrays import Float64Array, Int64Array

from .contents import Entry

HIT = "hit@1"
_SAME = 1e-12  # what float64 rounding can make of equal numbers


@dataclass(frozen=True, slots=True)
class FlipCounts:
    """Queries of a group whose first hit changed between right and wrong.

    A fractional hit, which arises from equal scores, is a chance, so counts may be fractions.

    Attributes:
        group: the group's name.
        n_queries: queries in it.
        negative: right before, wrong after.
        positive: wrong before, right after.
    """

    group: str
    n_queries: int
    negative: float
    positive: float


@dataclass(frozen=True, slots=True)
class ClassChange:
    """Mean difference over the queries of one class."""

    label: str
    n_queries: int
    difference: float


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Differences of the queries that changed, counted in bins that are symmetric about 0.

    Attributes:
        edges: borders of the bins. Shape: (n_bins + 1,)
        counts: queries in each bin. Shape: (n_bins,)
        n_unchanged: queries whose difference is 0; they are in no bin.
        mean: mean difference over all queries.
    """

    edges: Float64Array
    counts: Int64Array
    n_unchanged: int
    mean: float

    @property
    def n_queries(self) -> int:
        """All queries, the unchanged ones too."""
        return int(self.counts.sum()) + self.n_unchanged

    @property
    def n_worse(self) -> int:
        """Queries that lost."""
        return int(self.counts[: len(self.counts) // 2].sum())

    @property
    def n_better(self) -> int:
        """Queries that gained."""
        return int(self.counts[len(self.counts) // 2 :].sum())


def differences(entry: Entry, metric: str) -> Float64Array | None:
    """Return candidate minus baseline of every query, or None if the evidence lacks it."""
    cells = entry.evidence.cells
    before = cells.get(entry.baseline_cell, {}).get(metric)
    after = cells.get(entry.cell, {}).get(metric)
    if before is None or after is None:
        return None
    found = after - before
    return np.where(np.abs(found) <= _SAME, 0.0, found)


def histogram(values: Float64Array, *, n_bins: int = 40) -> Histogram:
    """Count differences in an even number of bins between minus and plus the largest one."""
    changed = values[values != 0]
    reach = float(np.abs(values).max(initial=0.0)) or 1.0
    edges = np.linspace(-reach, reach, n_bins + 1)
    counts, _ = np.histogram(changed, edges)
    return Histogram(edges, counts, len(values) - len(changed), float(values.mean()))


def count_flips(entry: Entry) -> tuple[FlipCounts, ...]:
    """Return the flips of hit@1 in every group, all queries first; none if it was not measured."""
    flips = _flips(entry)
    if flips is None:
        return ()
    return tuple(
        FlipCounts(
            group, len(rows), float(flips.negative[rows].sum()), float(flips.positive[rows].sum())
        )
        for group, rows in entry.evidence.rows().items()
    )


def negatively_flipped(entry: Entry) -> tuple[str, ...]:
    """Return the ids of queries whose first hit was right before and is not any more."""
    flips, ids = _flips(entry), entry.evidence.asked.ids
    if flips is None:
        return ()
    return tuple(str(ids[row]) for row in np.flatnonzero(flips.negative > 0))


def worst_classes(entry: Entry, metric: str, *, limit: int = 10) -> tuple[ClassChange, ...]:
    """Return the classes that lost most on average, the largest drop first.

    None if no class lost, or if every query is a class of its own.
    """
    values = differences(entry, metric)
    labels = entry.evidence.asked.labels.astype(str)
    names, of_class, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    if values is None or len(names) == len(labels):
        return ()
    means = np.bincount(of_class, weights=values) / sizes
    order = [place for place in np.argsort(means, kind="stable") if means[place] < -_SAME]
    return tuple(ClassChange(str(names[i]), int(sizes[i]), float(means[i])) for i in order[:limit])


def _flips(entry: Entry) -> Flips | None:
    cells = entry.evidence.cells
    before = cells.get(entry.baseline_cell, {}).get(HIT)
    after = cells.get(entry.cell, {}).get(HIT)
    return None if before is None or after is None else find_flips(before, after)
