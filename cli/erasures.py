"""How entries of the ledger of erasures are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .output import short, table

if TYPE_CHECKING:
    from rich.table import Table

    from registry.domain.erasures import Erasure, EvidenceErasure, ProbeErasure

_INDEX = {
    "none": "",
    "rebuilt": "index built again",
    "removed": "nothing left, index removed",
    "dropped": "open again: too few left for its index",
}


def as_data(entry: Erasure) -> dict[str, object]:
    """Return an entry as JSON values, without the digests of ids."""
    return {
        "gallery": entry.gallery,
        "n_items": entry.n_items,
        "reason": entry.reason,
        "at": None if entry.at is None else entry.at.isoformat(),
        "actor": entry.actor,
        "segments": [
            {
                "segment": s.number,
                "n_rows": s.n_rows,
                "n_hidden": s.n_hidden,
                "n_parts": s.n_parts,
                "index": s.index,
            }
            for s in entry.segments
        ],
        "evidence": [
            {"certificate": e.certificate, "n_queries": e.n_queries, "n_hits": e.n_hits}
            for e in entry.evidence
        ],
        "missing_evidence": list(entry.missing),
        "probe_sets": [
            {
                "probe_set": p.probe,
                "n_queries": p.n_queries,
                "n_items": p.n_items,
                "n_left": p.n_left,
            }
            for p in entry.probes
        ],
        "missing_probe_sets": list(entry.missing_probes),
    }


def places(entry: Erasure) -> Table:
    """Return where the items were, a line each."""
    rows: list[tuple[object, ...]] = [
        (f"segment {s.number}", s.n_rows, s.n_hidden, f"{s.n_parts} parts", _INDEX[s.index])
        for s in entry.segments
    ]
    rows += [
        (f"evidence of {short(e.certificate)}", e.n_queries + e.n_hits, 0, "redacted", _said(e))
        for e in entry.evidence
    ]
    rows += [
        (f"evidence of {short(digest)}", "–", "–", "", "missing: nobody could look")
        for digest in entry.missing
    ]
    rows += [
        (f"probe set {p.probe!r}", p.n_queries + p.n_items, 0, "redacted", _left(p))
        for p in entry.probes
    ]
    rows += [
        (f"probe set {name!r}", "–", "–", "", "missing: nobody could look")
        for name in entry.missing_probes
    ]
    return table("", ("where", "#found", "#deleted before", "", ""), rows)


def _said(evidence: EvidenceErasure) -> str:
    return f"{evidence.n_queries} as a query, {evidence.n_hits} among first items"


def _left(probe: ProbeErasure) -> str:
    gone = f"{probe.n_queries} queries, {probe.n_items} labels or judgements"
    if not probe.n_left:
        return f"{gone}; no query is left: nothing can be asked of it any more"
    return f"{gone}; {probe.n_left} queries left"
