"""Why a search found what it found: plain facts, in the order in which they came about."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .calibration import AS_IT_IS, ScoreMap
from .canonical import Json
from .contracts import Contract
from .refs import VersionRef

ORDER = "score, highest first; equal scores by id"


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a segment offered.

    Attributes:
        id: the item.
        score: its score on the gallery's scale, by which segments are merged.
        raw_score: what its own pair of versions scores.
        rank: its place within the segment, from 1.
        hit_rank: its place among the hits, or None if others of other segments came first.
    """

    id: int | str
    score: float
    raw_score: float
    rank: int
    hit_rank: int | None

    def to_json(self) -> dict[str, Json]:
        """Return the candidate as JSON values."""
        return {
            "id": self.id,
            "score": self.score,
            "raw_score": self.raw_score,
            "rank": self.rank,
            "hit_rank": self.hit_rank,
        }


@dataclass(frozen=True, slots=True)
class SegmentSearch:
    """How one segment took part in a search, or why it did not.

    Attributes:
        number: the segment's number in its gallery.
        version: which version made its vectors.
        state: ``open`` or ``sealed``.
        n_items: items that can be found in it.
        hidden: why it was not searched, in words; empty if it was.
        contract: how the query was compared with it, or None if it was not searched.
        basis: on what strength it may be: ``same-space``, the digest of a certificate, or
            ``waiver: reason``; empty if it was not searched.
        standing: what became of that certificate since, as in ``valid``; empty if there is none.
        to_scale: what brings its raw scores onto the gallery's scale.
        searched_by: which index found the candidates, or that all rows were scored.
        candidates: what it offered, best first.
    """

    number: int
    version: VersionRef
    state: str
    n_items: int
    hidden: str = ""
    contract: Contract | None = None
    basis: str = ""
    standing: str = ""
    to_scale: ScoreMap = AS_IT_IS
    searched_by: str = ""
    candidates: tuple[Candidate, ...] = ()

    def to_json(self) -> dict[str, Json]:
        """Return the segment's part as JSON values."""
        return {
            "segment": self.number,
            "version": str(self.version),
            "state": self.state,
            "n_items": self.n_items,
            "hidden": self.hidden,
            "contract": self.contract.to_json() if self.contract else None,
            "basis": self.basis,
            "standing": self.standing,
            "to_scale": self.to_scale.to_json(),
            "searched_by": self.searched_by,
            "candidates": [candidate.to_json() for candidate in self.candidates],
        }


@dataclass(frozen=True, slots=True)
class ExplainedHit:
    """A hit and where it came from.

    Attributes:
        rank: its place, from 1.
        id: the item.
        score: its score on the gallery's scale.
        raw_score: what its own pair of versions scores.
        version: which version made its vector.
        segment: the segment that offered it.
        segment_rank: its place there, from 1.
    """

    rank: int
    id: int | str
    score: float
    raw_score: float
    version: VersionRef
    segment: int
    segment_rank: int

    def to_json(self) -> dict[str, Json]:
        """Return the hit as JSON values."""
        return {
            "rank": self.rank,
            "id": self.id,
            "score": self.score,
            "raw_score": self.raw_score,
            "version": str(self.version),
            "segment": self.segment,
            "segment_rank": self.segment_rank,
        }


class Outcome(StrEnum):
    """What became of an item that was asked about."""

    HIT = "hit"
    BEATEN = "beaten"  # enough others are as close or closer
    MISSED = "missed"  # an approximate index did not find it
    HIDDEN = "hidden"  # its segment is not searched
    ABSENT = "absent"  # no live item has this id


@dataclass(frozen=True, slots=True)
class ItemFate:
    """Why an item is among the hits, or is not.

    Attributes:
        id: the item.
        outcome: what became of it.
        segment: the segment that holds it, or None if none does.
        version: which version made its vector, or None.
        score: its exact score on the gallery's scale, or None if it was not compared.
        raw_score: what its own pair of versions scores, or None likewise.
        place: its exact place among all items that were compared, from 1; items of equal score
            share one.
    """

    id: int | str
    outcome: Outcome
    segment: int | None = None
    version: VersionRef | None = None
    score: float | None = None
    raw_score: float | None = None
    place: int | None = None

    def to_json(self) -> dict[str, Json]:
        """Return the item's fate as JSON values."""
        return {
            "id": self.id,
            "outcome": self.outcome.value,
            "segment": self.segment,
            "version": str(self.version) if self.version else None,
            "score": self.score,
            "raw_score": self.raw_score,
            "place": self.place,
        }


@dataclass(frozen=True, slots=True)
class Explanation:
    """How one query was answered.

    Attributes:
        gallery: what was searched.
        metric: its metric.
        query_version: which version embedded the query.
        served_by: the event that put what was served in force, in words.
        k: how many hits were asked for.
        hits: what was found, best first.
        segments: how each segment took part.
        items: what became of the items that were asked about.
    """

    gallery: str
    metric: str
    query_version: VersionRef
    served_by: str
    k: int
    hits: tuple[ExplainedHit, ...]
    segments: tuple[SegmentSearch, ...]
    items: tuple[ItemFate, ...]

    @property
    def is_calibrated(self) -> bool:
        """Whether any segment's raw scores are brought onto another scale."""
        return any(not segment.to_scale.is_identity for segment in self.segments)

    def to_json(self) -> dict[str, Json]:
        """Return the explanation as JSON values."""
        return {
            "gallery": self.gallery,
            "metric": self.metric,
            "query_version": str(self.query_version),
            "served_by": self.served_by,
            "k": self.k,
            "order": ORDER,
            "hits": [hit.to_json() for hit in self.hits],
            "segments": [segment.to_json() for segment in self.segments],
            "items": [item.to_json() for item in self.items],
        }
