"""An explanation of a search, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .output import short, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from registry.domain.explanations import ExplainedHit, Explanation, ItemFate, SegmentSearch


def shown_explanation(found: Explanation) -> list[RenderableType]:
    """Return what was found, from which segments, and what became of the items asked about."""
    said = (
        f"query of {found.query_version} in {found.gallery!r} ({found.metric}), as served by "
        f"{found.served_by}"
    )
    raw = ("#raw score",) if found.is_calibrated else ()
    hits = [
        (h.rank, h.id, *_scores(found, h), h.version, h.segment, h.segment_rank) for h in found.hits
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
            ("#rank", "item", "#score", *raw, "made by", "segment", "#place there"),
            hits,
        ),
    ]
    if found.items:
        shown.append(_items(found))
    return shown


def _scores(found: Explanation, item: ExplainedHit | ItemFate) -> tuple[str, ...]:
    """Return the score, and the raw one beside it where it is another."""
    scores = (item.score, item.raw_score) if found.is_calibrated else (item.score,)
    return tuple("–" if score is None else f"{score:.4f}" for score in scores)


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
            *_scores(found, item),
            "–" if item.place is None else item.place,
        )
        for item in found.items
    ]
    raw = ("#raw score",) if found.is_calibrated else ()
    columns = ("item", "outcome", "segment", "made by", "#exact score", *raw, "#exact place")
    return table("items asked about", columns, rows)
