"""Which queries provably keep their first hit: the no-flip bound, where it applies.

It applies where old and new queries meet the old vectors in one space of unit vectors: with a
contract that compares all dimensions of the old version, under cosine, or under the inner product
if all vectors are of unit length anyway.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from registry.arrays import Float32Array, Float64Array
from registry.domain.contracts import Contract
from registry.domain.galleries import Metric
from registry.galleries.geometry import row_norms
from registry.galleries.search import prepare_queries

from .cells import SearchedItems, itself_among, relevance_of
from .evaluation.flips import UNIT, guarantee_first_hits
from .evaluation.ranking import RankingScores
from .matrix import GUARANTEED
from .probes import Labels


def with_guarantee(  # noqa: PLR0913 -- two sides' queries, what they search, and how
    candidate: RankingScores,
    baseline: RankingScores,
    *,
    old_queries: Float32Array,
    new_queries: Float32Array,
    asked: Labels,
    items: SearchedItems,
    contract: Contract,
    metric: Metric,
) -> RankingScores:
    """Add to the candidate's numbers for which queries the first hit is guaranteed.

    Args:
        candidate: scores of the new queries on the old vectors.
        baseline: scores of the old queries on them, with their first items.
        old_queries: of the old version. Shape: (n_queries, old_dim)
        new_queries: of the new version. Shape: (n_queries, new_dim)
        asked: the queries.
        items: the old vectors' items.
        contract: how the new queries are compared with them.
        metric: the gallery's metric.

    Returns:
        With `GUARANTEED`, 1 or 0, among its numbers; as it was if the bound does not apply.
    """
    if metric is Metric.L2 or contract.dims != old_queries.shape[1] or baseline.top is None:
        return candidate
    old, new = (prepare_queries(side, contract, metric) for side in (old_queries, new_queries))
    if metric is not Metric.COSINE and not _are_unit([old, new, *items.blocks]):
        return candidate
    relevance = relevance_of(asked, items).without(itself_among(asked, items))
    columns = [relevance.holds(column) for column in baseline.top.positions.T]
    found = guarantee_first_hits(old, new, baseline.top, np.stack(columns, axis=1))
    numbers: Float64Array = found.is_guaranteed.astype(np.float64)
    return replace(candidate, more={**candidate.more, GUARANTEED: numbers})


def _are_unit(blocks: Iterable[Float32Array]) -> bool:
    return all((np.abs(row_norms(block) - 1) <= UNIT).all() for block in blocks)
