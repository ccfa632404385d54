"""Mixed galleries: how the scores of their two parts are merged, and what is found then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from compat.calibration import Judged, cross_fit, fit_maps, halve, is_better, share_first
from compat.cells import SearchedItems, itself_among, relevance_of
from compat.evaluation.ranking import RankingScores
from compat.matrix import cell_name, mixed_name, raw_name
from compat.mixing import MixedItems, MixedQueries, measure_mixed, nest_shares
from compat.probes import Probe
from compat.score_metrics import score_rules
from registry.domain.calibration import ScoreMap
from registry.domain.places import ON_MIXED
from registry.domain.policies import Policy

from .pairs import TOP_K, Study, metric_ks, units_of

_HALVES = 4  # place of the draw of halves in the policy's seeds


@dataclass(frozen=True, slots=True)
class Merge:
    """What one version's queries find in mixed galleries, as they will be served.

    Attributes:
        found: rankings at each share.
        maps: by pair, onto the baseline's scale; empty if no curve could be told.
        raw: rankings by raw scores at each share, if the calibrated merge is the one that serves.
    """

    found: tuple[RankingScores, ...]
    maps: Mapping[str, ScoreMap]
    raw: tuple[RankingScores, ...] = ()


def merge_parts(
    probe: Probe,
    policy: Policy,
    queries: MixedQueries,
    items: MixedItems,
    reference: RankingScores,
    pairs: Mapping[str, RankingScores],
) -> Merge:
    """Measure mixed galleries, merged raw and calibrated, and take the merge that will serve.

    The calibrated merge is measured with maps that were fitted to the other half of the units;
    those that will serve are fitted to all of them.

    Args:
        probe: the labelled queries.
        policy: the rules.
        queries: what searches each part.
        items: both versions' vectors of all items.
        reference: the baseline's own queries on its own vectors.
        pairs: rankings of the pair on old vectors, then of that on new ones, by name.
    """
    raw = _measure(probe, policy, queries, items)
    first = _judged(probe, items.old, reference)
    hits = {name: _judged(probe, items.old, scores) for name, scores in pairs.items()}
    units = units_of(probe, policy)
    served = fit_maps(first, hits, np.arange(len(units)))
    if served is None:
        return Merge(raw, {})
    rng = np.random.default_rng([policy.seed, _HALVES])
    crossed = cross_fit(first, hits, halve(units, rng))
    if crossed is None:
        return Merge(raw, share_first(served))
    old_maps, new_maps = crossed.values()
    mapped = replace(queries, old_maps=old_maps, new_maps=new_maps)
    calibrated = _measure(probe, policy, mapped, items)
    wins = is_better(
        [scores.average_precision for scores in raw],
        [scores.average_precision for scores in calibrated],
        units,
        confidence_level=policy.confidence_level,
        n_resamples=policy.n_resamples,
        rng=rng,
    )
    return Merge(calibrated, served, raw) if wins else Merge(raw, share_first(served))


def _judged(probe: Probe, items: SearchedItems, scores: RankingScores) -> Judged:
    if scores.top is None:
        raise ValueError("maps are fitted to first hits, which were not measured")
    asked = probe.queries
    return Judged.of(scores.top, relevance_of(asked, items).without(itself_among(asked, items)))


def _measure(
    probe: Probe, policy: Policy, queries: MixedQueries, items: MixedItems
) -> tuple[RankingScores, ...]:
    rng = np.random.default_rng([policy.seed, 2])
    rules = score_rules(policy, units_of(probe, policy))
    return tuple(
        measure_mixed(
            queries,
            probe.queries,
            replace(items, is_new=is_new),
            ks=metric_ks(policy),
            top_k=TOP_K,
            rules=rules,
        )
        for is_new in nest_shares(len(items.new), policy.mixed, rng)
    )


def describe_mixed(
    study: Study, cells: Mapping[str, RankingScores], policy: Policy
) -> tuple[str, ...]:
    """Return sentences on mixed galleries: how they are merged, and the worst of them."""
    pair, means = study.pair, {c: float(s.average_precision.mean()) for c, s in cells.items()}
    names = [mixed_name(pair.query_version, share) for share in policy.mixed]
    if names[0] not in means:
        missing = (
            "Mixed galleries, as a partial backfill leaves them, were not measured, and scores not "
            "calibrated: no re-embedded items were given."
        )
        return (missing,)
    how = _describe_merge(study, is_calibrated=raw_name(names[0]) in means)
    if policy.asks(ON_MIXED):
        return ("Mixed galleries were measured in one random order of backfilling.", how)
    lowest, baseline = min(names, key=means.__getitem__), pair.baseline_version
    worst = (
        f"Of mixed galleries {lowest!r} has the lowest mAP: {means[lowest]:.4f}, where "
        f"{baseline} on its own vectors has {means[cell_name(baseline, baseline)]:.4f}. "
        "That is a measurement, not a claim with a bound."
    )
    return (worst, how)


def _describe_merge(study: Study, *, is_calibrated: bool) -> str:
    if is_calibrated:
        return (
            "Scores of old and new vectors are merged calibrated, which was shown to be better "
            "than raw: each query with maps that were fitted to the other half of the units; "
            "those that serve are fitted to all."
        )
    if not study.calibration:
        return (
            "Scores were not calibrated: the first hits do not tell how probable it is, by score, "
            "that one is relevant."
        )
    return (
        "Scores of old and new vectors are merged raw: a map for each was not shown to be better. "
        "One map brings all onto the baseline's scale, so that thresholds hold on."
    )
