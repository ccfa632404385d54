"""Deleting items: from the commit on no search finds them; their bytes stay until an erasure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..arrays import Int64Array, LabelArray
from ..db import galleries
from ..db.session import Connection, read, write
from ..domain.canonical import Json
from ..domain.events import EventKind, gallery_stream
from ..domain.galleries import Segment
from ..errors import ConflictError, InvalidInputError, NotFoundError
from .context import Context
from .views import GalleryState, Views, read_state

Located = Mapping[Segment, Int64Array]


def find_live(
    views: Views,
    state: GalleryState,
    ids: LabelArray,
    segments: Iterable[Segment],
    connection: Connection | None = None,
) -> dict[Segment, Int64Array]:
    """Return the positions of those items that are live in some segments, ascending."""
    found = {}
    for segment in segments:
        if segment.n_items > 0:
            positions = views.reader(state, segment, connection).positions_of(ids)
            if len(positions):
                found[segment] = positions
    return found


def locate(context: Context, views: Views, gallery: str, ids: LabelArray) -> Located:
    """Return where items are, all at one moment.

    Raises:
        InvalidInputError: if there are none.
        NotFoundError: if one is nowhere.
    """
    if len(ids) == 0:
        raise InvalidInputError("there are no items to delete")
    with read(context.engine) as connection:
        state = read_state(connection, gallery)
        found = find_live(views, state, ids, state.gallery.segments, connection)
        missing = set(ids.tolist())
        for segment, positions in found.items():
            reader = views.reader(state, segment, connection)
            missing.difference_update(reader.take_ids(positions).tolist())
    if missing:
        raise NotFoundError(
            f"{len(missing)} of {len(ids)} ids are not in gallery {gallery!r}, "
            f"for example {min(missing, key=str)!r}",
            hint="nothing was deleted",
        )
    return found


def commit_deletions(context: Context, gallery: str, found: Located) -> int:
    """Delete located items: from this commit on no search finds them.

    Raises:
        ConflictError: if somebody deleted one of them, or wrote a segment anew, meanwhile.
    """
    with write(context.engine) as connection:
        key = galleries.lock_gallery(connection, gallery)
        counts = insert_deletions(context, connection, key, gallery, found)
        payload: dict[str, Json] = {"n_items": sum(counts.values()), "by_segment": counts}
        context.record(connection, gallery_stream(gallery), EventKind.ITEMS_DELETED, payload)
    return sum(counts.values())


def insert_deletions(
    context: Context, connection: Connection, key: int, gallery: str, found: Located
) -> dict[str, int]:
    """Delete rows in the caller's transaction, and return how many of each segment."""
    now = {s.number: s for s in galleries.get_gallery(connection, gallery).segments}
    for segment, positions in found.items():
        if now[segment.number].generation != segment.generation:
            raise ConflictError(
                f"segment {segment.number} of {gallery!r} was written anew meanwhile",
                hint="try again",
            )
        row = galleries.segment_id(connection, key, segment.number)
        galleries.insert_deletions(
            connection, row, positions, at=context.clock(), actor=context.actor
        )
    return {str(segment.number): len(positions) for segment, positions in found.items()}
