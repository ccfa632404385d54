"""Which queries were found in the training data, told to people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from registry.arrays import LabelArray

from .leakage import COSINE, ROW, SAME_ID, is_leaked
from .matrix import ByMetric


@dataclass(frozen=True, slots=True)
class Leak:
    """A query that was found in the training data.

    Attributes:
        query: its id.
        has_same_id: whether a training item has that id.
        cosine: with the nearest training vector, or None if there were no vectors.
        row: which vector that is, counted from 0, or None likewise.
    """

    query: str
    has_same_id: bool
    cosine: float | None
    row: int | None


@dataclass(frozen=True, slots=True)
class Leaks:
    """All queries that were found in the training data.

    Attributes:
        leaks: the queries, those that are nearest to a training vector first.
        n_queries: how many were looked for.
        by: how they were looked for, in words.
        next_cosine: the largest cosine of the queries that were not found, or None if none.
    """

    leaks: tuple[Leak, ...]
    n_queries: int
    by: str
    next_cosine: float | None

    def __str__(self) -> str:
        n_leaked, of_id = len(self.leaks), sum(leak.has_same_id for leak in self.leaks)
        parts = f" ({of_id} under the same id)" if 0 < of_id < n_leaked else ""
        nearest = self.next_cosine
        others = "" if nearest is None else f"; the nearest of the others has {nearest:.4f}"
        verb = "is" if n_leaked == 1 else "are"
        return (
            f"{n_leaked} of {self.n_queries} queries {verb} in the training data, "
            f"by {self.by}{parts}{others}"
        )


def list_leaks(ids: LabelArray, found: ByMetric, near_duplicate: float) -> Leaks:
    """Return which queries were found in the training data, and how.

    Args:
        ids: of the queries. Shape: (n_queries,).
        found: what `look_for` returned, or what the evidence has of it.
        near_duplicate: from which cosine on a vector counts as the query's own.

    Raises:
        ValueError: as `is_leaked`.
    """
    leaked = is_leaked(found, near_duplicate)
    cosines = found.get(COSINE)
    order = np.flatnonzero(leaked)
    if cosines is not None:
        order = order[np.argsort(-cosines[order], kind="stable")]
    others = None if cosines is None or leaked.all() else float(cosines[~leaked].max())
    ways = ["id"] if SAME_ID in found else []
    ways += [f"a vector of cosine {near_duplicate:g} or more"] if cosines is not None else []
    leaks = tuple(_leak(ids, found, row) for row in order.tolist())
    return Leaks(leaks, len(leaked), " or by ".join(ways), others)


def _leak(ids: LabelArray, found: ByMetric, row: int) -> Leak:
    return Leak(
        str(ids[row]),
        SAME_ID in found and bool(found[SAME_ID][row] == 1),
        float(found[COSINE][row]) if COSINE in found else None,
        int(found[ROW][row]) if ROW in found else None,
    )
