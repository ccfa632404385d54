"""An explanation of a search, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .output import short, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from registry.domain.explanations import Explanation, SegmentSearch


def shown_explanation(found: Explanation) -> list[RenderableType]:
    """Return what was found, from which segments, and what became of the items asked about."""
    said = (
        f"query of {found.query_version} in {found.gallery!r} ({found.metric}), as served by "
        f"{found.served_by}"
    )
    hits = [
        (h.rank, h.id, f"{h.score:.4f}", h.version, h.segment, h.segment_rank) for h in found.hits
    ]
    shown: list[RenderableType] = [
        said,
        table(
            "segments",
            ("segment", "made by", "#items", "compared by", "because of", "found by", "offered"),
            [_segment_row(segment) for segment in found.segments],
        ),
        table(
            "hits, by score; equal scores by id",
            ("#rank", "item", "#score", "made by", "segment", "#place there"),
            hits,
        ),
    ]
    if found.items:
        shown.append(_items(found))
    return shown


def _segment_row(segment: SegmentSearch) -> tuple[object, ...]:
    facts = (f"{segment.number} ({segment.state})", segment.version, segment.n_items)
    if segment.contract is None:
        return (*facts, "not searched", segment.hidden, "", "")
    n_hits = sum(candidate.hit_rank is not None for candidate in segment.candidates)
    scores = [f"{candidate.score:.4f}" for candidate in segment.candidates]
    offered = f"{len(scores)} from {scores[0]} to {scores[-1]}, {n_hits} of them hits"
    return (*facts, segment.contract, _because(segment), segment.searched_by, offered)


def _because(segment: SegmentSearch) -> str:
    if segment.standing:
        return f"certificate {short(segment.basis)} ({segment.standing})"
    return segment.basis


def _items(found: Explanation) -> RenderableType:
    rows = [
        (
            item.id,
            item.outcome,
            "–" if item.segment is None else item.segment,
            item.version or "–",
            "–" if item.score is None else f"{item.score:.4f}",
            "–" if item.place is None else item.place,
        )
        for item in found.items
    ]
    columns = ("item", "outcome", "segment", "made by", "#exact score", "#exact place")
    return table("items asked about", columns, rows)
