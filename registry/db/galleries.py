"""Galleries, their segments, the files of those, and deletions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, func, insert, select, update

from ..arrays import Int64Array
from ..domain.canonical import canonical_json
from ..domain.galleries import (
    Gallery,
    IdType,
    IndexSpec,
    Metric,
    Part,
    Segment,
    SegmentState,
    StoredFile,
)
from ..domain.refs import VersionRef
from ..errors import NotFoundError
from .session import to_moment, to_text
from .tables import (
    certificates,
    deletions,
    galleries,
    model_versions,
    models,
    parts,
    probe_sets,
    segment_indexes,
    segments,
)
from .versions import model_id, version_id


def gallery_names(connection: Connection) -> tuple[str, ...]:
    """Return the names of all galleries."""
    query = select(galleries.c.name).order_by(galleries.c.name)
    return tuple(connection.execute(query).scalars())


def insert_gallery(connection: Connection, gallery: Gallery, actor: str) -> None:
    """Make a gallery, empty as yet."""
    connection.execute(
        insert(galleries).values(
            name=gallery.name,
            model_id=model_id(connection, gallery.model),
            metric=gallery.metric.value,
            index_backend=gallery.index.backend,
            index_factory=gallery.index.factory,
            index_options=canonical_json(dict(gallery.index.options)),
            created_at=to_text(gallery.created_at),
            created_by=actor,
        )
    )


def _row(connection: Connection, name: str) -> Row[Any]:
    query = select(galleries, models.c.name.label("model")).join(models)
    row = connection.execute(query.where(galleries.c.name == name)).first()
    if row is None:
        raise NotFoundError.among("gallery", name, gallery_names(connection))
    return row


def get_gallery_id(connection: Connection, name: str) -> int:
    """Return a gallery's key."""
    return int(_row(connection, name).id)


def lock_gallery(connection: Connection, name: str) -> int:
    """Hold a gallery's row until the transaction ends, and return its key."""
    key = get_gallery_id(connection, name)
    connection.execute(select(galleries.c.id).where(galleries.c.id == key).with_for_update())
    return key


def get_gallery(connection: Connection, name: str) -> Gallery:
    """Return a gallery with all of its segments.

    Raises:
        NotFoundError: if there is none of that name.
    """
    row = _row(connection, name)
    return Gallery(
        name=row.name,
        model=row.model,
        metric=Metric(row.metric),
        id_type=_id_type(connection, row.id),
        index=IndexSpec(row.index_backend, row.index_factory, json.loads(row.index_options)),
        created_at=to_moment(row.created_at),
        segments=_segments(connection, row.id),
    )


def _id_type(connection: Connection, gallery_id: int) -> IdType | None:
    query = select(parts.c.id_type).join(segments).where(segments.c.gallery_id == gallery_id)
    found = connection.execute(query.limit(1)).scalar()
    return IdType(found) if found else None


def _segments(connection: Connection, gallery_id: int) -> tuple[Segment, ...]:
    query = (
        select(segments, model_versions.c.number.label("version"), models.c.name.label("model"))
        .join(model_versions, model_versions.c.id == segments.c.version_id)
        .join(models, models.c.id == model_versions.c.model_id)
        .where(segments.c.gallery_id == gallery_id)
        .order_by(segments.c.number)
    )
    return tuple(_segment(connection, row) for row in connection.execute(query).all())


def _segment(connection: Connection, row: Row[Any]) -> Segment:
    of_segment = select(parts).where(parts.c.segment_id == row.id).order_by(parts.c.number)
    index = connection.execute(
        select(segment_indexes).where(segment_indexes.c.segment_id == row.id)
    ).first()
    n_deleted = connection.execute(
        select(func.count()).select_from(deletions).where(deletions.c.segment_id == row.id)
    ).scalar_one()
    return Segment(
        number=row.number,
        version=VersionRef(row.model, row.version),
        state=SegmentState(row.state),
        parts=tuple(
            Part(p.number, StoredFile(p.path, p.digest, p.n_bytes), p.n_items)
            for p in connection.execute(of_segment)
        ),
        index=StoredFile(index.path, index.digest, index.n_bytes) if index else None,
        n_deleted=n_deleted,
    )


def segment_id(connection: Connection, gallery_id: int, number: int) -> int:
    """Return the key of a segment that exists."""
    query = select(segments.c.id).where(
        segments.c.gallery_id == gallery_id, segments.c.number == number
    )
    return int(connection.execute(query).scalar_one())


def insert_segment(
    connection: Connection, gallery_id: int, number: int, version: VersionRef, at: datetime
) -> int:
    """Open a new segment for one version and return its key."""
    values = {
        "gallery_id": gallery_id,
        "number": number,
        "version_id": version_id(connection, version),
        "state": SegmentState.OPEN.value,
        "created_at": to_text(at),
    }
    query = insert(segments).values(**values).returning(segments.c.id)
    return int(connection.execute(query).scalar_one())


def insert_part(
    connection: Connection, segment: int, part: Part, id_type: IdType, at: datetime
) -> None:
    """Name a batch's file: from this commit on, its items exist."""
    connection.execute(
        insert(parts).values(
            segment_id=segment,
            number=part.number,
            path=part.file.path,
            digest=part.file.digest,
            n_bytes=part.file.n_bytes,
            n_items=part.n_items,
            id_type=id_type.value,
            created_at=to_text(at),
        )
    )


def seal_segment(connection: Connection, segment: int, index: StoredFile, at: datetime) -> None:
    """Seal a segment and name its index file."""
    connection.execute(
        update(segments).where(segments.c.id == segment).values(state=SegmentState.SEALED.value)
    )
    connection.execute(
        insert(segment_indexes).values(
            segment_id=segment,
            path=index.path,
            digest=index.digest,
            n_bytes=index.n_bytes,
            created_at=to_text(at),
        )
    )


def insert_deletions(
    connection: Connection,
    segment: int,
    rows: Sequence[tuple[int, str]],
    *,
    at: datetime,
    actor: str,
) -> None:
    """Delete rows of a segment, given as (position, item id)."""
    moment = to_text(at)
    values = [
        {
            "segment_id": segment,
            "position": position,
            "item_id": item_id,
            "deleted_at": moment,
            "deleted_by": actor,
        }
        for position, item_id in rows
    ]
    connection.execute(insert(deletions), values)


def deleted_positions(connection: Connection, gallery: str, number: int) -> Int64Array:
    """Return the deleted positions of a segment, ascending."""
    query = (
        select(deletions.c.position)
        .join(segments, segments.c.id == deletions.c.segment_id)
        .join(galleries, galleries.c.id == segments.c.gallery_id)
        .where(galleries.c.name == gallery, segments.c.number == number)
        .order_by(deletions.c.position)
    )
    return np.array(list(connection.execute(query).scalars()), dtype=np.int64)


def stored_paths(connection: Connection) -> frozenset[str]:
    """Return every path that a committed row names."""
    columns = (
        parts.c.path,
        segment_indexes.c.path,
        probe_sets.c.path,
        certificates.c.evidence_path,
    )
    named = [connection.execute(select(column)).scalars() for column in columns]
    return frozenset(path for paths in named for path in paths)
