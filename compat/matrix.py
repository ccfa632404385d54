"""The compatibility matrix: means of the per-query numbers of every cell, by group."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from registry.arrays import Float64Array
from registry.domain.certificates import mixed_place
from registry.domain.refs import VersionRef

from .probes import ALL, Labels

MATRIX_METRICS = ("mAP", "hit@1", "hit@5", "recall@10")

ByMetric = Mapping[str, Float64Array]


def cell_name(query: VersionRef, gallery: VersionRef) -> str:
    """Return the name of the cell of one version's queries on another's vectors."""
    return f"{query} -> {gallery}"


def mixed_name(query: VersionRef, share: float) -> str:
    """Return the name of a cell whose gallery holds that share of its items as new vectors."""
    return f"{query} -> {mixed_place(share)}"


def raw_name(mixed: str) -> str:
    """Return the name of a mixed cell merged by raw scores, where the served merge is another."""
    return f"{mixed} (raw scores)"


def served_name(cell: str, backend: str, factory: str) -> str:
    """Return the name of a cell that the gallery's own index searched."""
    return f"{cell} (served: {backend} {factory})"


def matrix_of(
    cells: Mapping[str, ByMetric], asked: Labels
) -> dict[str, dict[str, dict[str, float]]]:
    """Return the means of every cell, over all queries and over each group of them.

    A cell has those of `MATRIX_METRICS` that were measured in it.

    Args:
        cells: per-query numbers by metric, of each cell.
        asked: the queries, in the same order.
    """
    rows = {ALL: np.arange(len(asked.ids)), **asked.by_group}
    return {
        cell: {
            group: {name: float(of[name][row].mean()) for name in MATRIX_METRICS if name in of}
            for group, row in rows.items()
        }
        for cell, of in cells.items()
    }
