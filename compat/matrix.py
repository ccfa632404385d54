"""The compatibility matrix: means of the per-query numbers of every cell, by group."""

from __future__ import annotations

from collections.abc import Mapping

from registry.arrays import Float64Array
from registry.domain.certificates import Certificate
from registry.domain.places import mixed_place
from registry.domain.refs import VersionRef
from registry.domain.score_metrics import parse_score_metric

from .probes import Labels

GUARANTEED = "guaranteed@1"  # whether geometry alone excludes a lost first hit
MATRIX_METRICS = ("mAP", "hit@1", "hit@5", "recall@10", GUARANTEED)

ByMetric = Mapping[str, Float64Array]


def cell_name(query: VersionRef, gallery: VersionRef) -> str:
    """Return the name of the cell of one version's queries on another's vectors."""
    return f"{query} -> {gallery}"


def certified_cells(certificate: Certificate) -> tuple[str, str]:
    """Return the names of the cell that a certificate's is held against, and of its own."""
    baseline = certificate.baseline_version
    return (
        cell_name(baseline, baseline),
        cell_name(certificate.query_version, certificate.gallery_version),
    )


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
    """Return the means of every cell, over all queries and over all that is reported apart.

    A cell has those of `MATRIX_METRICS` that were measured in it, and what was asked of its scores.

    Args:
        cells: per-query numbers by metric, of each cell.
        asked: the queries, in the same order.
    """
    rows = asked.reported
    return {
        cell: {
            group: {name: float(of[name][row].mean()) for name in of if _is_shown(name)}
            for group, row in rows.items()
        }
        for cell, of in cells.items()
    }


def _is_shown(name: str) -> bool:
    return name in MATRIX_METRICS or parse_score_metric(name) is not None
