"""Curves of a report, from what its certificates and their evidence hold."""

from __future__ import annotations

import re
from collections.abc import Sequence

from compat.scored import ScoredCell
from registry.domain.places import ON_MIXED

from .contents import BackfillCurve, BackfillPoint, Entry, RocCurve, RocPoint

_BACKFILLED = ("mAP", "hit@1")


def roc_curves(entries: Sequence[Entry]) -> tuple[RocCurve, ...]:
    """Return verification in every certified cell and in what it is held against, each once."""
    found: dict[str, RocCurve] = {}
    for entry in entries:
        for cell in (entry.baseline_cell, entry.cell):
            if cell in entry.evidence.scored:
                found.setdefault(cell, RocCurve(cell, _roc(entry.evidence.scored[cell])))
    return tuple(found.values())


def _roc(scored: ScoredCell) -> tuple[RocPoint, ...]:
    curve = scored.curve
    pairs = zip(curve.false_match_rates.tolist(), curve.false_non_match_rates.tolist(), strict=True)
    return tuple(RocPoint(false, 1 - missed) for false, missed in pairs)


def backfill_curves(entries: Sequence[Entry]) -> tuple[BackfillCurve, ...]:
    """Return quality over the share that is embedded again, where mixed galleries were measured.

    Beside each curve stands what the version that made the items finds among them itself.
    """
    return tuple(
        curve
        for entry in entries
        if not entry.is_rollback
        for metric in _BACKFILLED
        for curve in _backfill(entry, metric)
    )


def _backfill(entry: Entry, metric: str) -> tuple[BackfillCurve, ...]:
    made = entry.certificate
    new, held = str(made.query_version), str(made.gallery_version)
    cells = {f"{new} -> {held}": 0.0, f"{new} -> {new}": 1.0}
    mixed = re.compile(rf"{re.escape(new)} -> {ON_MIXED} (\d+)%")
    for cell in made.matrix:
        if (share := mixed.fullmatch(cell)) is not None:
            cells[cell] = int(share[1]) / 100
    means = {cell: made.matrix.get(cell, {}).get("all", {}).get(metric) for cell in cells}
    points = [BackfillPoint(cells[c], mean) for c, mean in means.items() if mean is not None]
    before = made.matrix.get(entry.baseline_cell, {}).get("all", {}).get(metric)
    if len(cells) == 2 or len(points) < len(cells) or before is None:
        return ()
    flat = (BackfillPoint(0.0, before), BackfillPoint(1.0, before))
    return (
        BackfillCurve(metric, tuple(sorted(points)), held),
        BackfillCurve(f"{metric} of {held} on its own vectors", flat, held),
    )
