"""Compaction: a segment's parts become one, and deleted rows leave the files.

Every live item keeps its id and its vector, bit for bit, so no certificate ages by it. The one
exception would be an approximate index that is built again, which is another index: a segment that
would need that is left as it is unless the caller wants it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..db import galleries
from ..domain.canonical import Json
from ..domain.events import EventKind, gallery_stream
from ..domain.galleries import Gallery, Segment
from .context import Context
from .drafts import draft
from .rewriting import Rewriter, insert_rewritten, remove_superseded
from .views import GalleryState, Views, read_state


@dataclass(frozen=True, slots=True)
class CompactedSegment:
    """What compaction does to one segment.

    Attributes:
        number: the segment's number.
        n_parts: parts that become one, or none if nothing is live.
        n_dropped: deleted rows that leave the files.
        n_items: items that stay.
        n_bytes: bytes of its files before.
        n_bytes_after: bytes of its files after; None before it is done.
        is_index_rebuilt: whether its index is built again.
    """

    number: int
    n_parts: int
    n_dropped: int
    n_items: int
    n_bytes: int
    n_bytes_after: int | None
    is_index_rebuilt: bool


@dataclass(frozen=True, slots=True)
class Compaction:
    """What a compaction does, or did.

    Attributes:
        gallery: the gallery's name.
        segments: segments that are written anew.
        kept: numbers of segments with deleted rows that stay as they are, because an approximate
            index would have to be built again.
        left: why old files could not be removed, by path; nothing names them any more.
    """

    gallery: str
    segments: tuple[CompactedSegment, ...]
    kept: tuple[int, ...]
    left: dict[str, str]


def plan_compaction(gallery: Gallery, *, rebuild: bool) -> Compaction:
    """Return what there is to compact; a segment of one part with nothing deleted is not."""
    wanted, kept = [], []
    for segment in gallery.segments:
        if len(segment.parts) <= 1 and segment.n_deleted == 0:
            continue
        if _needs_other_index(gallery, segment) and not rebuild:
            kept.append(segment.number)
        else:
            wanted.append(_describe(segment, None))
    return Compaction(gallery.name, tuple(wanted), tuple(kept), {})


def _needs_other_index(gallery: Gallery, segment: Segment) -> bool:
    is_approximate = segment.index is not None and not gallery.index.is_exact
    return is_approximate and segment.n_deleted > 0 and segment.n_items > 0


def _describe(segment: Segment, after: Segment | None) -> CompactedSegment:
    return CompactedSegment(
        segment.number,
        len(segment.parts),
        segment.n_deleted,
        segment.n_items,
        _size(segment),
        None if after is None else _size(after),
        segment.index is not None and segment.n_deleted > 0,
    )


def _size(segment: Segment) -> int:
    return sum(file.n_bytes for file in segment.files)


def compact(context: Context, views: Views, state: GalleryState, *, rebuild: bool) -> Compaction:
    """Compact what there is to compact, each segment in a transaction of its own.

    Raises:
        ConflictError: if somebody changed a segment meanwhile; those before it are compacted.
        InvalidInputError: if an index cannot be built of what is left; likewise.
        StorageError: if the file system refuses; likewise.
    """
    plan = plan_compaction(state.gallery, rebuild=rebuild)
    done: list[CompactedSegment] = []
    left: dict[str, str] = {}
    for step in plan.segments:
        segment = state.gallery.segments[step.number - 1]
        done.append(_describe(segment, _compact_segment(context, views, state, segment)))
        _, left = remove_superseded(context, plan.gallery)
    return Compaction(plan.gallery, tuple(done), plan.kept, left)


def _compact_segment(
    context: Context, views: Views, state: GalleryState, segment: Segment
) -> Segment:
    name = state.gallery.name
    with draft(context) as made:
        rewriter = Rewriter(context, views, state, made)
        new = rewriter.rewrite(segment, rewriter.open(segment).live)
        with made.naming() as connection:
            key = galleries.lock_gallery(connection, name)
            now = read_state(connection, name)
            payload: dict[str, Json] = {
                "segment": segment.number,
                "n_parts": len(segment.parts),
                "n_rows_removed": new.n_dropped,
                "segments": insert_rewritten(context, connection, key, now, [new]),
            }
            context.record(connection, gallery_stream(name), EventKind.SEGMENT_COMPACTED, payload)
    views.forget(name, [segment.number])
    return new.after
