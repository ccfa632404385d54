"""Adding items: checked, written to a file, and there from the commit that names the file."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays import Float32Array, LabelArray
from ..db import galleries
from ..db.session import Connection, read
from ..domain.canonical import Json
from ..domain.events import EventKind, gallery_stream
from ..domain.galleries import Metric, Part, Segment, SegmentState, StoredFile
from ..domain.refs import VersionRef
from ..domain.versions import ModelVersion
from ..errors import AlreadyExistsError, InvalidInputError, SpaceMismatchError
from ..galleries import storage
from ..galleries.space_check import check_same_space
from ..vectors import Embeddings, check_no_zero_vectors, id_type
from .context import Context
from .drafts import write_naming
from .views import GalleryState, Views, check_served, read_state

_ENOUGH = 4096  # vectors that show a space


@dataclass(frozen=True, slots=True)
class Added:
    """What an `add` committed."""

    gallery: str
    segment: int
    version: VersionRef
    n_items: int
    n_items_after: int


def check_items(
    context: Context, views: Views, gallery: str, items: Embeddings, trust_space: bool
) -> GalleryState:
    """Refuse items that a gallery does not take as it is now, and return what it is.

    Raises:
        SpaceMismatchError: as `check`, or, unless the space is trusted, as `check_space`.
        InvalidInputError: as `check`.
        SignatureError, DigestMismatchError: if nobody trusted says what it serves.
    """
    with read(context.engine) as connection:
        state = read_state(connection, gallery)
        check_served(context, connection, state)
    check(state, items)
    if not trust_space:
        check_space(views, state, items)
    return state


def check(state: GalleryState, items: Embeddings) -> None:
    """Refuse items that this gallery does not take.

    Raises:
        SpaceMismatchError: if their version may not write here, or their space is not its.
        InvalidInputError: if there are none, a vector has no direction under the cosine, or the
            ids are of the other type.
    """
    gallery, ref = state.gallery, items.version.ref
    if len(items) == 0:
        raise InvalidInputError("there are no items to add")
    _check_version(state, ref, items.version.fingerprint)
    if gallery.metric is Metric.COSINE:
        check_no_zero_vectors(items.vectors)
    check_id_type(state, items.ids)


def check_id_type(state: GalleryState, ids: LabelArray) -> None:
    """Refuse ids that cannot be those of this gallery's items.

    Raises:
        InvalidInputError: if they are of the other type.
    """
    gallery, found = state.gallery, id_type(ids)
    if gallery.id_type is not None and found is not gallery.id_type:
        raise InvalidInputError(
            f"gallery {gallery.name!r} names items by {gallery.id_type} but got {found} ids",
            hint="name new items as the first ones were: .txt gives strings, .csv whole numbers "
            "if all are, .npy and Parquet keep their type",
        )


def _check_version(state: GalleryState, ref: VersionRef, fingerprint: str) -> None:
    gallery = state.gallery
    writers = [VersionRef(gallery.model, n) for n in state.serving.write_versions]
    if ref not in writers:
        raise SpaceMismatchError(
            f"gallery {gallery.name!r} takes items of {', '.join(map(str, writers))}, not of {ref}",
            hint=f"certify and promote {ref} first: samespace certify {gallery.name} {ref} …",
        )
    if fingerprint != state.versions[ref.number].fingerprint:
        raise SpaceMismatchError(
            f"the vectors say they are of {ref} but carry another fingerprint: "
            f"{fingerprint[:19]}…, not {state.versions[ref.number].fingerprint[:19]}…",
            hint="they were made by another model; register it as a version of its own",
        )


def check_new(
    views: Views,
    state: GalleryState,
    ids: LabelArray,
    segments: Sequence[Segment],
    connection: Connection | None = None,
) -> None:
    """Refuse ids that live in one of these segments already.

    Raises:
        AlreadyExistsError: naming how many, and one of them.
    """
    for segment in segments:
        if segment.n_items == 0:
            continue
        reader = views.reader(state, segment, connection)
        positions = reader.positions_of(ids)
        if len(positions):
            example = reader.take_ids(positions[:1]).tolist()[0]
            raise AlreadyExistsError(
                f"{len(positions)} of {len(ids)} ids are in gallery {state.gallery.name!r} "
                f"already, for example {example!r}",
                hint="nothing was added; leave those out, or delete them first",
            )


def check_space(views: Views, state: GalleryState, items: Embeddings) -> None:
    """Refuse vectors that are plainly of another space than those stored for their version.

    Raises:
        SpaceMismatchError: if they are; few vectors, or spaces without structure, pass.
    """
    reference = _stored(views, state, items.version)
    if reference is None:
        return
    evidence = check_same_space(items.vectors, reference)
    if evidence.is_other_space:
        raise SpaceMismatchError(
            f"the vectors do not look like those of {items.version.ref} in "
            f"{state.gallery.name!r}: alignment {evidence.alignment:.2f}, about 1 expected",
            hint="name the version that made them; if it is this one, add --trust-space",
        )


def _stored(views: Views, state: GalleryState, version: ModelVersion) -> Float32Array | None:
    """Return stored vectors of a version: the first block, or several if that one is small."""
    blocks: list[Float32Array] = []
    for segment in state.gallery.segments:
        if segment.version != version.ref or segment.n_items == 0:
            continue
        for _, block in views.reader(state, segment).blocks():
            blocks.append(block[:_ENOUGH] if blocks else block)
            if sum(map(len, blocks)) >= _ENOUGH:
                return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    return np.concatenate(blocks) if blocks else None


def write_part(context: Context, state: GalleryState, items: Embeddings) -> StoredFile:
    """Write a batch's file. It is litter until a row names it."""
    relative = f"galleries/{state.gallery.name}/parts/{uuid.uuid4().hex}.arrow"
    metadata = {
        "samespace.version": str(items.version.ref),
        "samespace.fingerprint": items.version.fingerprint,
        "samespace.metric": state.gallery.metric.value,
    }
    return storage.write_part(
        context.storage, relative, items.ids, items.vectors, metadata=metadata
    )


def commit_part(
    context: Context, views: Views, state: GalleryState, items: Embeddings, file: StoredFile
) -> Added:
    """Name a batch's file in the database, if all checks still hold at this moment."""
    with write_naming(context, file) as connection:
        key = galleries.lock_gallery(connection, state.gallery.name)
        now = read_state(connection, state.gallery.name)
        if now.heads != state.heads:
            check(now, items)
            check_new(views, now, items.ids, changed_segments(state, now), connection)
        facts = insert_part(context, connection, key, now, items, file)
        stream = gallery_stream(state.gallery.name)
        context.record(connection, stream, EventKind.ITEMS_ADDED, facts.to_json())
    n_items_after = now.gallery.n_items + len(items)
    return Added(state.gallery.name, facts.segment, items.version.ref, len(items), n_items_after)


@dataclass(frozen=True, slots=True)
class PartFacts:
    """What an event says of a new part."""

    segment: int
    version: int
    part: int
    n_items: int
    digest: str

    def to_json(self) -> dict[str, Json]:
        """Return it as JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}


def insert_part(
    context: Context,
    connection: Connection,
    key: int,
    state: GalleryState,
    items: Embeddings,
    file: StoredFile,
) -> PartFacts:
    """Name a batch's file in the open segment of its version, in the caller's transaction."""
    segment = _open_segment(context, connection, key, state, items.version.ref)
    part = Part(len(segment.parts) + 1, file, len(items))
    row = galleries.segment_id(connection, key, segment.number)
    galleries.insert_part(connection, row, part, id_type(items.ids), context.clock())
    version = items.version.ref.number
    return PartFacts(segment.number, version, part.number, part.n_items, file.digest)


def changed_segments(before: GalleryState, now: GalleryState) -> list[Segment]:
    """Return the segments that are not as they were."""
    known = set(before.gallery.segments)
    return [segment for segment in now.gallery.segments if segment not in known]


def _open_segment(
    context: Context, connection: Connection, key: int, state: GalleryState, version: VersionRef
) -> Segment:
    for segment in state.gallery.segments:
        if segment.version == version and segment.state is SegmentState.OPEN:
            return segment
    number = len(state.gallery.segments) + 1
    made = Segment(number, version, SegmentState.OPEN, (), None)
    galleries.insert_segment(connection, key, made, context.clock())
    return made
