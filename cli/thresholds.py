"""Thresholds that were found or are deployed, as people and scripts see them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from .output import table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from compat.workflow.certifying import Certification
    from registry.domain.canonical import Json


def thresholds(made: Certification) -> list[RenderableType]:
    """Return a table of what each operating point of the policy takes and does, if it has any."""
    from compat.matrix import certified_cells
    from compat.score_words import ratio_note, threshold_rows

    before, after = (made.operating_points.get(c, ()) for c in certified_cells(made.certificate))
    rows = threshold_rows(before, after)
    columns = ("at", "#threshold before", "#after", "#false accepts before", "#after", "")
    title = "thresholds: measured, no claims with a bound"
    note = ratio_note(finding.metric for finding in made.certificate.findings)
    return [note or "", table(title, columns, rows)] if rows else []


def operating_data(made: Certification) -> dict[str, Json]:
    """Return the operating points of each cell as JSON values."""
    return {
        cell: [{**asdict(point), "halves": list(point.halves)} for point in points]
        for cell, points in made.operating_points.items()
    }
