"""Groups compared: the worst of them, and which of them changed at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from compat.stats.clusters import cluster_means
from compat.stats.multiplicity import GroupBounds, holm_adjusted, worst_group
from compat.stats.p_values import paired_difference_p_values
from registry.arrays import Float64Array, Int64Array
from registry.domain.certificates import Certificate

from .contents import Entry
from .differences import differences
from .text import signed

_RESAMPLES = 20_000


@dataclass(frozen=True, slots=True)
class GroupChange:
    """How one group changed in one metric, each unit counting once.

    Attributes:
        group: its name.
        metric: the metric.
        difference: candidate minus baseline, the mean over units.
        p_value: of no change, two-sided, adjusted by Holm for all groups and metrics shown.
    """

    group: str
    metric: str
    difference: float
    p_value: float


def group_changes(entry: Entry) -> tuple[GroupChange, ...]:
    """Return the changes of every declared group, the surest first; none if there is one group.

    "Some group changed" is another claim than the certificate's "none is worse": whoever looks at
    many finds one that changed by chance, so these p-values are adjusted and the bounds are not.
    """
    groups = entry.evidence.asked.by_group
    if len(groups) < 2:
        return ()
    tried = [
        (group, metric, values)
        for metric in entry.metrics
        if (of_all := differences(entry, metric)) is not None
        for group, rows in groups.items()
        for values in (_unit_means(entry, of_all, rows),)
    ]
    adjusted = holm_adjusted(np.array([_p_value(values) for _, _, values in tried]))
    changes = [
        GroupChange(group, metric, float(values.mean()), float(p))
        for (group, metric, values), p in zip(tried, adjusted, strict=True)
    ]
    return tuple(sorted(changes, key=lambda change: (change.p_value, change.metric, change.group)))


def _unit_means(entry: Entry, values: Float64Array, rows: Int64Array) -> Float64Array:
    return cluster_means(values[rows], entry.evidence.units[rows])


def _p_value(values: Float64Array) -> float:
    found = paired_difference_p_values(
        np.zeros(len(values)),
        values,
        np.arange(len(values)),
        n_resamples=_RESAMPLES,
        rng=np.random.default_rng(0),
    )
    return min(1.0, 2 * min(found.greater, found.less))


def worst_group_sentences(certificate: Certificate) -> list[str]:
    """Say of each metric what holds in the worst group, whichever that is.

    The smallest of the groups' lower bounds has the level of a single bound.
    """
    found = []
    min_units = cast("int", certificate.policy.get("min_units", 1))
    for what in dict.fromkeys(finding.what for finding in certificate.findings):
        of_metric = [finding for finding in certificate.findings if finding.what == what]
        if len(of_metric) < 2:
            continue
        bounds = [GroupBounds(f.low, f.high, f.n_clusters) for f in of_metric]
        worst = worst_group(bounds, min_units=min_units)
        if worst.low is not None:
            found.append(f"{what}: at least {signed(worst.low)} in the worst group.")
        else:
            names = _listed([of_metric[i].group for i in worst.too_small])
            found.append(f"{what}: nothing can be said of the worst group, {names} is too small.")
    return found


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
