"""Writing a segment anew, without its deleted rows: its next generation.

The files come first, then one commit names them all; the rows of the generation before stay as
facts, and its files are removed after the commit. Whoever reads the segment meanwhile finishes with
the files that he has mapped.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..arrays import BoolArray
from ..db import galleries, paths
from ..db.session import Connection, read
from ..domain.canonical import Json
from ..domain.galleries import IdType, Part, Segment, SegmentState, StoredFile
from ..errors import ConflictError, InvalidInputError
from ..galleries import catalog, replacement, storage
from ..galleries.segments import SegmentReader
from .context import Context
from .drafts import Draft
from .views import GalleryState, Views


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A segment before and after; what is after is not committed yet."""

    before: Segment
    after: Segment

    @property
    def n_dropped(self) -> int:
        """Rows that are gone."""
        return self.before.n_rows - self.after.n_rows

    @property
    def facts(self) -> dict[str, Json]:
        """What an event says of it; `content.fold` reads it."""
        after = self.after
        return {
            "generation": after.generation,
            "state": after.state.value,
            "n_rows": after.n_rows,
            "n_dropped": after.n_dropped,
            "part": after.parts[0].file.digest if after.parts else None,
            "index": after.index.digest if after.index else None,
        }


class Rewriter:
    """Writes segments of one gallery anew, into a draft.

    Args:
        context: the surroundings.
        views: opens segments.
        state: the gallery as it was read.
        made: collects the new files.
    """

    def __init__(self, context: Context, views: Views, state: GalleryState, made: Draft) -> None:
        self._context = context
        self._views = views
        self._state = state
        self._made = made

    def open(self, segment: Segment) -> SegmentReader:
        """Open a segment of the state."""
        return self._views.reader(self._state, segment)

    def rewrite(self, segment: Segment, kept: BoolArray, *, may_reopen: bool = False) -> Rewritten:
        """Write a segment's next generation: one part, and its index if it is sealed.

        An index of unchanged rows is kept as it is, byte for byte.

        Args:
            segment: the segment.
            kept: which of its rows stay; deleted ones must not. Shape: (n_rows,).
            may_reopen: whether the segment may be open again if too few rows are left to build
                its index; else that is an error.

        Raises:
            InvalidInputError: if an index cannot be built of what is left.
            StorageError: if the file system refuses.
        """
        reader, n_kept = self.open(segment), int(kept.sum())
        after = replace(
            segment,
            generation=segment.generation + 1,
            parts=(),
            index=None,
            n_deleted=0,
            n_dropped=segment.n_ever - n_kept,
        )
        if n_kept == 0:
            return Rewritten(segment, after)
        after = replace(after, parts=(Part(1, self._write_part(reader, kept), n_kept),))
        if segment.index is None:
            return Rewritten(segment, after)
        if n_kept == segment.n_rows:
            return Rewritten(segment, replace(after, index=self._clone(segment.index)))
        try:
            return Rewritten(segment, replace(after, index=self._build(after)))
        except InvalidInputError:
            if not may_reopen:
                raise
            return Rewritten(segment, replace(after, state=SegmentState.OPEN))

    def _write_part(self, reader: SegmentReader, kept: BoolArray) -> StoredFile:
        gallery = self._state.gallery
        version = self._state.versions[reader.segment.version.number]
        metadata = {
            "samespace.version": str(version.ref),
            "samespace.fingerprint": version.fingerprint,
            "samespace.metric": gallery.metric.value,
        }
        relative = f"galleries/{gallery.name}/parts/{uuid.uuid4().hex}.arrow"
        root = self._context.storage
        file = replacement.write_kept(root, relative, reader, kept, metadata=metadata)
        return self._made.add(file)

    def _clone(self, index: StoredFile) -> StoredFile:
        relative = f"galleries/{self._state.gallery.name}/indexes/{uuid.uuid4().hex}.index"
        return self._made.add(replacement.clone_file(self._context.storage, index, relative))

    def _build(self, segment: Segment) -> StoredFile:
        gallery = self._state.gallery
        parts = [storage.open_part(self._context.storage, part.file) for part in segment.parts]
        index = catalog.load_backend(gallery.index.backend).build(
            (block for part in parts for block in part.blocks),
            dim=self._state.versions[segment.version.number].dim,
            metric=gallery.metric,
            spec=gallery.index,
        )
        relative = f"galleries/{gallery.name}/indexes/{uuid.uuid4().hex}.index"
        return self._made.add(storage.write_index(self._context.storage, relative, index))


def insert_rewritten(
    context: Context,
    connection: Connection,
    key: int,
    now: GalleryState,
    rewritten: Sequence[Rewritten],
) -> Mapping[str, Json]:
    """Name the next generation of segments in the caller's transaction.

    Returns:
        What an event says of them, by number.

    Raises:
        ConflictError: if one is not as it was when it was read.
    """
    at = context.clock()
    for one in rewritten:
        before, after = one.before, one.after
        if now.gallery.segments[before.number - 1] != before:
            raise ConflictError(
                f"segment {before.number} of {now.gallery.name!r} changed while it was written "
                "anew",
                hint="nothing was changed; try again",
            )
        row = galleries.insert_segment(connection, key, after, at)
        for part in after.parts:
            galleries.insert_part(connection, row, part, _id_type(now), at)
        if after.index is not None:
            galleries.insert_index(connection, row, after.index, at)
    return {str(one.before.number): one.facts for one in rewritten}


def _id_type(state: GalleryState) -> IdType:
    found = state.gallery.id_type
    if found is None:
        raise ConflictError(f"gallery {state.gallery.name!r} holds nothing")
    return found


def remove_superseded(context: Context, gallery: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Remove every file of a gallery that another took the place of, as far as it goes.

    Returns:
        Which were there and are gone, and why others could not be removed.
    """
    with read(context.engine) as connection:
        found = paths.superseded_paths(connection, gallery)
    return replacement.remove_files(context.storage, found)


def find_superseded(context: Context, gallery: str) -> tuple[str, ...]:
    """Return the files of a gallery that another took the place of and that are still there."""
    with read(context.engine) as connection:
        found = paths.superseded_paths(connection, gallery)
    return tuple(path for path in found if storage.resolve(context.storage, path).exists())
