"""Sealing: building a segment's index, and deleting items from segments."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from ..arrays import LabelArray
from ..db import galleries
from ..db.session import write
from ..domain.canonical import Json
from ..domain.events import EventKind, gallery_stream
from ..domain.galleries import Segment, SegmentState
from ..errors import ConflictError, InvalidInputError, NotFoundError, SegmentStateError
from ..galleries import catalog, storage
from .context import Context, write_naming
from .views import GalleryState, Views, read_state


def ready_to_seal(state: GalleryState) -> tuple[Segment, ...]:
    """Return the open segments that hold something.

    Raises:
        SegmentStateError: if there is none.
    """
    open_segments = tuple(
        s for s in state.gallery.segments if s.state is SegmentState.OPEN and s.n_rows > 0
    )
    if not open_segments:
        raise SegmentStateError(
            f"gallery {state.gallery.name!r} has no open segment with items",
            hint="add items first",
        )
    return open_segments


def seal_segment(context: Context, views: Views, state: GalleryState, segment: Segment) -> None:
    """Build, write and name the index of one segment.

    Raises:
        ConflictError: if somebody changed the segment meanwhile; then nothing is changed.
    """
    gallery = state.gallery
    version = state.versions[segment.version.number]
    reader = views.reader(gallery.name, segment, version)
    index = catalog.load_backend(gallery.index.backend).build(
        (block for _, block in reader.blocks()),
        dim=version.dim,
        metric=gallery.metric,
        spec=gallery.index,
    )
    relative = f"galleries/{gallery.name}/indexes/{uuid.uuid4().hex}.index"
    stored = storage.write_index(context.storage, relative, index)
    with write_naming(context, stored) as connection:
        key = galleries.lock_gallery(connection, gallery.name)
        now = read_state(connection, gallery.name).gallery.segments[segment.number - 1]
        if now.parts != segment.parts or now.state is not SegmentState.OPEN:
            raise ConflictError(
                f"segment {segment.number} of {gallery.name!r} changed while it was indexed",
                hint="seal again",
            )
        row = galleries.segment_id(connection, key, segment.number)
        galleries.seal_segment(connection, row, stored, context.clock())
        payload: dict[str, Json] = {"segment": segment.number, "digest": stored.digest}
        stream = gallery_stream(gallery.name)
        context.record(connection, stream, EventKind.SEGMENT_SEALED, payload)


def locate(views: Views, state: GalleryState, ids: LabelArray) -> dict[int, list[tuple[int, str]]]:
    """Return where items are: segment number to (position, id as text).

    Raises:
        InvalidInputError: if there are none.
        NotFoundError: if one is nowhere.
    """
    if len(ids) == 0:
        raise InvalidInputError("there are no items to delete")
    found: dict[int, list[tuple[int, str]]] = {}
    missing = set(ids.tolist())
    for segment in state.gallery.segments:
        reader = views.reader(state.gallery.name, segment, state.versions[segment.version.number])
        positions = reader.positions_of(ids)
        names = reader.take_ids(positions).tolist()
        missing.difference_update(names)
        if names:
            found[segment.number] = [
                (int(p), str(i)) for p, i in zip(positions, names, strict=True)
            ]
    if missing:
        raise NotFoundError(
            f"{len(missing)} of {len(ids)} ids are not in gallery {state.gallery.name!r}, "
            f"for example {min(missing, key=str)!r}",
            hint="nothing was deleted",
        )
    return found


def commit_deletions(
    context: Context, gallery: str, found: Mapping[int, list[tuple[int, str]]]
) -> int:
    """Delete located items: from this commit on no search finds them."""
    counts = {number: len(rows) for number, rows in found.items()}
    with write(context.engine) as connection:
        key = galleries.lock_gallery(connection, gallery)
        for number, rows in found.items():
            galleries.insert_deletions(
                connection,
                galleries.segment_id(connection, key, number),
                rows,
                at=context.clock(),
                actor=context.actor,
            )
        payload: dict[str, Json] = {
            "n_items": sum(counts.values()),
            "by_segment": {str(number): n for number, n in counts.items()},
        }
        context.record(connection, gallery_stream(gallery), EventKind.ITEMS_DELETED, payload)
    return sum(counts.values())
