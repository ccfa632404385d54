"""Scores and thresholds in a certification: refused beforehand, and told on the certificate."""

from __future__ import annotations

import numpy as np

from compat.cells import itself_among, own_positions, relevance_of
from compat.matrix import cell_name
from compat.score_metrics import asked_scores
from compat.score_support import ScoreSupport
from compat.score_words import threshold_sentences
from compat.scored import OperatingPoint, ScoredCell, scored_cell
from registry.arrays import Int64Array, LabelArray
from registry.domain.galleries import Metric
from registry.domain.score_metrics import ScoreMetric
from registry.domain.versions import ModelVersion
from registry.errors import InvalidInputError

from .bench import Bench, Measured
from .items import stored_items
from .pairs import Pair, Study, units_of

_ON_RAW = (
    "Deployed scores are those of a pair of versions before any map (`raw_scores` of hits), save "
    "on mixed galleries that are merged calibrated, where they are the calibrated ones. A "
    "threshold on scores that a map brings onto the gallery's scale was not certified."
)


def check_scores(bench: Bench, old: ModelVersion) -> None:
    """Refuse what a policy asks of scores if these queries and items cannot show it.

    Raises:
        InvalidInputError: if a score cannot occur, a query has no impostor pair, or an error rate
            is below what the probe set supports.
    """
    asked = asked_scores(bench.policy)
    if not asked:
        return
    metric = bench.registry.galleries.get(bench.gallery).metric
    for one in asked:
        _check_possible(one, metric)
    readers = bench.registry.galleries.readers(bench.gallery, old.ref)
    items = stored_items(readers, bench.gallery, bench.probe)
    itself = itself_among(bench.probe.queries, items)
    n_relevant = relevance_of(bench.probe.queries, items).without(itself).n_relevant
    found = _support(bench, items.ids, n_relevant)
    for one in asked:
        found.check(one)


def _check_possible(metric: ScoreMetric, similarity: Metric) -> None:
    if metric.at != "score":
        return
    low, high = {
        Metric.COSINE: (-1.0, 1.0),
        Metric.L2: (-np.inf, 0.0),
        Metric.INNER_PRODUCT: (-np.inf, np.inf),
    }[similarity]
    if not low <= metric.value <= high:
        said = "in [-1, 1]" if similarity is Metric.COSINE else "the squared distance, negative"
        raise InvalidInputError(
            f"{metric.measured}: under {similarity.value} a score is {said}",
            hint="give the threshold as a search gives its scores: larger is closer",
        )


def _support(bench: Bench, item_ids: LabelArray, n_relevant: Int64Array) -> ScoreSupport:
    """Return what the probe set has of each kind of trial.

    Args:
        bench: the probe and the rules.
        item_ids: what is searched. Shape: (n_items,)
        n_relevant: relevant items of each query, itself left out. Shape: (n_queries,)
    """
    asked = bench.probe.queries
    is_among = np.zeros(len(asked.ids), dtype=np.int64)
    if asked.qrels is None:
        is_among = (own_positions(asked.ids, item_ids) >= 0).astype(np.int64)
    n_impostor = len(item_ids) - is_among - n_relevant
    lost = np.flatnonzero(n_impostor == 0)
    if len(lost):
        raise InvalidInputError(
            f"{len(lost)} of {len(asked.ids)} queries have no impostor pair in gallery "
            f"{bench.gallery!r}, for example query {asked.ids.tolist()[int(lost[0])]!r}: every "
            "item is relevant to it",
            hint="genuine pairs alone say nothing of false accepts: measure on several classes",
        )
    units = units_of(bench.probe, bench.policy)
    level = bench.policy.confidence_level
    return ScoreSupport(len(np.unique(units)), int(n_impostor.sum()), len(asked.ids), level)


def scored_cells(bench: Bench, measured: Measured) -> dict[str, ScoredCell]:
    """Return what is kept as evidence of the scores of every cell."""
    kept = {cell: scored_cell(s.points, bench.rules) for cell, s in measured.cells.items()}
    return {cell: one for cell, one in kept.items() if one is not None}


def operating_points(bench: Bench, measured: Measured) -> dict[str, tuple[OperatingPoint, ...]]:
    """Return the thresholds of every cell."""
    return {cell: one.points for cell, one in scored_cells(bench, measured).items()}


def score_limits(bench: Bench, measured: Measured, study: Study) -> list[str]:
    """Say what was certified of scores, on what it rests, and what was measured beside it."""
    asked = asked_scores(bench.policy)
    if not asked:
        return ["Scores and thresholds were not certified, only rankings."]
    named = ", ".join(dict.fromkeys(one.point for one in asked))
    support = _support(bench, measured.item_ids, study.measured.n_relevant)
    recalibrated = [at for at in dict.fromkeys(one.at for one in asked) if at != "score"]
    found = (
        "Bounds take recalibrated thresholds as they were found on the other half of the units: "
        "where impostor scores differ much between units they are wrong more often than their "
        "level says. Those of a deployed score are not."
    )
    return [
        f"Of scores and thresholds only what holds at {named} was certified.",
        *(support.sentence(at) for at in recalibrated),
        *([found] if recalibrated else []),
        *(
            [_ON_RAW]
            if study.calibration and len(recalibrated) < len({a.at for a in asked})
            else []
        ),
        *threshold_sentences(operating_points(bench, measured), *cells_of(study.pair)),
    ]


def cells_of(pair: Pair) -> tuple[str, str]:
    """Return the names of the baseline's cell and of the certified one."""
    return (
        cell_name(pair.baseline_version, pair.baseline_version),
        cell_name(pair.query_version, pair.gallery_version),
    )
