"""Registered probe sets: one row each, which names the file of its content."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select

from ..domain.galleries import StoredFile
from ..domain.probe_sets import ProbeFacts, ProbeKind, ProbeSet
from ..errors import DigestMismatchError, NotFoundError
from .galleries import get_gallery_id
from .session import to_moment, to_text
from .tables import galleries, probe_sets


def insert_set(connection: Connection, made: ProbeSet) -> None:
    """Name a set's file: from this commit on it is registered."""
    connection.execute(
        insert(probe_sets).values(
            name=made.name,
            gallery_id=get_gallery_id(connection, made.gallery),
            kind=made.facts.kind.value,
            n_queries=made.facts.n_queries,
            digest=made.facts.digest,
            questions=made.facts.questions,
            path=made.file.path,
            file_digest=made.file.digest,
            n_bytes=made.file.n_bytes,
            created_at=to_text(made.registered_at),
            created_by=made.registered_by,
        )
    )


def find_set(connection: Connection, name: str) -> ProbeSet | None:
    """Return the probe set of a name, or None."""
    row = connection.execute(_select_sets().where(probe_sets.c.name == name)).one_or_none()
    return None if row is None else _set(row)


def get_set(connection: Connection, name: str) -> ProbeSet:
    """Return a probe set.

    Raises:
        NotFoundError: if there is none of that name.
    """
    found = find_set(connection, name)
    if found is None:
        names = [other.name for other in all_sets(connection)]
        raise NotFoundError.among("probe set", name, names)
    return found


def all_sets(connection: Connection) -> tuple[ProbeSet, ...]:
    """Return all probe sets, by name."""
    query = _select_sets().order_by(probe_sets.c.name)
    return tuple(_set(row) for row in connection.execute(query))


def _select_sets() -> Select[Any]:
    return select(probe_sets, galleries.c.name.label("gallery")).join(galleries)


def _set(row: Row[Any]) -> ProbeSet:
    try:
        return ProbeSet(
            name=row.name,
            gallery=row.gallery,
            facts=ProbeFacts(ProbeKind(row.kind), row.n_queries, row.digest, row.questions),
            file=StoredFile(row.path, row.file_digest, row.n_bytes),
            registered_at=to_moment(row.created_at),
            registered_by=row.created_by,
        )
    except (ValueError, TypeError) as error:
        raise DigestMismatchError(
            f"probe set {row.name!r} was changed in the database: {error}",
            hint="restore the database from a backup",
        ) from error
