"""The ledger of erasures: what was erased, told without telling what it was.

An entry names items by an HMAC of their id under a salt of its own. Whoever knows an id can ask
whether it was erased; whoever does not learns nothing, unless ids are few enough to try them all.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from .canonical import Json
from .events import Event


@dataclass(frozen=True, slots=True)
class SegmentErasure:
    """What was erased from one segment.

    Attributes:
        number: the segment's number.
        n_rows: rows that held one of the items and could be found.
        n_hidden: rows that held one and were deleted or superseded before.
        n_parts: parts that were replaced.
        index: what became of its index: ``none``, ``rebuilt``, ``removed`` if nothing is left to
            index, or ``dropped`` if it could not be built of what is left.
    """

    number: int
    n_rows: int
    n_hidden: int
    n_parts: int
    index: str


@dataclass(frozen=True, slots=True)
class EvidenceErasure:
    """What was erased from one certificate's evidence; see `Redaction`."""

    certificate: str
    n_queries: int
    n_hits: int


@dataclass(frozen=True, slots=True)
class ProbeErasure:
    """What was erased from one registered probe set; see `ProbeRedaction`.

    Attributes:
        probe: the set's name.
        n_queries: queries that are gone.
        n_items: labels of items, or judgements, that are gone.
        n_left: queries that are left; of none nothing can be asked any more.
    """

    probe: str
    n_queries: int
    n_items: int
    n_left: int


@dataclass(frozen=True, slots=True)
class Erasure:
    """One entry of the ledger.

    Attributes:
        gallery: the gallery's name.
        reason: why.
        n_items: how many items.
        segments: where they were stored.
        evidence: which certificates' evidence named them.
        missing: certificates whose evidence was not there to be looked at.
        probes: which registered probe sets named them.
        missing_probes: names of probe sets whose file was not there to be looked at.
        salt: of the items' names in this entry.
        items: their names, see `mask`.
        at: when, in UTC; None until it is recorded.
        actor: by whom.
    """

    gallery: str
    reason: str
    n_items: int
    segments: tuple[SegmentErasure, ...]
    evidence: tuple[EvidenceErasure, ...]
    missing: tuple[str, ...]
    probes: tuple[ProbeErasure, ...]
    missing_probes: tuple[str, ...]
    salt: str
    items: tuple[str, ...]
    at: datetime | None = None
    actor: str = ""

    def names(self, item: str | int) -> bool:
        """Return whether it erased this item."""
        return mask(item, self.salt) in self.items

    def to_json(self) -> dict[str, Json]:
        """Return what its event says of it, besides the files that took the old ones' place."""
        return {
            "reason": self.reason,
            "n_items": self.n_items,
            "salt": self.salt,
            "items": list(self.items),
            "erased": [
                {
                    "segment": s.number,
                    "n_rows": s.n_rows,
                    "n_hidden": s.n_hidden,
                    "n_parts": s.n_parts,
                    "index": s.index,
                }
                for s in self.segments
            ],
            "evidence": [
                {"certificate": e.certificate, "n_queries": e.n_queries, "n_hits": e.n_hits}
                for e in self.evidence
            ],
            "missing": list(self.missing),
            "probes": [
                {
                    "probe": p.probe,
                    "n_queries": p.n_queries,
                    "n_items": p.n_items,
                    "n_left": p.n_left,
                }
                for p in self.probes
            ],
            "missing_probes": list(self.missing_probes),
        }

    @classmethod
    def from_event(cls, gallery: str, event: Event) -> Erasure:
        """Read what `to_json` wrote."""
        said = cast("Mapping[str, Any]", event.payload)
        return cls(
            gallery,
            said["reason"],
            said["n_items"],
            tuple(
                SegmentErasure(s["segment"], s["n_rows"], s["n_hidden"], s["n_parts"], s["index"])
                for s in said["erased"]
            ),
            tuple(EvidenceErasure(**e) for e in said["evidence"]),
            tuple(said["missing"]),
            tuple(ProbeErasure(**p) for p in said["probes"]),
            tuple(said["missing_probes"]),
            said["salt"],
            tuple(said["items"]),
            event.at,
            event.actor,
        )


def mask(item: str | int, salt: str) -> str:
    """Return an item's name in an entry: HMAC-SHA256 of its id as text, under the entry's salt."""
    text = str(item).encode("utf-8")
    return hmac.new(bytes.fromhex(salt), text, hashlib.sha256).hexdigest()
