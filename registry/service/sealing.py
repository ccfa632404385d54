"""Sealing: building a segment's index."""

from __future__ import annotations

import uuid

from ..db import galleries
from ..domain.canonical import Json
from ..domain.events import EventKind, gallery_stream
from ..domain.galleries import Segment, SegmentState
from ..errors import ConflictError, SegmentStateError
from ..galleries import catalog, storage
from .context import Context
from .drafts import write_naming
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


def seal_ready(context: Context, views: Views, state: GalleryState) -> set[int]:
    """Seal the open segments that hold something, one after the other, and return their numbers.

    Raises:
        SegmentStateError: if there is none.
        ConflictError: if somebody changed one meanwhile; those before it are sealed.
    """
    ready = ready_to_seal(state)
    for segment in ready:
        seal_segment(context, views, state, segment)
    return {segment.number for segment in ready}


def seal_segment(context: Context, views: Views, state: GalleryState, segment: Segment) -> None:
    """Build, write and name the index of one segment.

    Raises:
        ConflictError: if somebody changed the segment meanwhile; then nothing is changed.
    """
    gallery = state.gallery
    version = state.versions[segment.version.number]
    reader = views.reader(state, segment)
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
