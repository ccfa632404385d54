"""Appending to and reading the event chains."""

from __future__ import annotations

import json
from typing import Any, Final

from sqlalchemy import Connection, Row, ScalarSelect, bindparam, func, insert, select

from ..domain.canonical import canonical_json
from ..domain.events import Event, EventKind
from ..errors import CorruptFileError
from .session import to_moment, to_text
from .tables import events


def insert_event(connection: Connection, event: Event) -> None:
    """Add the next event of a stream. The caller holds the stream's row lock."""
    connection.execute(
        insert(events).values(
            stream=event.stream,
            sequence=event.sequence,
            kind=event.kind.value,
            payload=canonical_json(dict(event.payload)),
            actor=event.actor,
            at=to_text(event.at),
            previous_hash=event.previous_hash,
            hash=event.hash,
            signature=event.signature,
        )
    )


def last(connection: Connection, stream: str) -> Event | None:
    """Return a stream's last event, if there is one."""
    query = select(events).where(events.c.stream == stream)
    row = connection.execute(query.order_by(events.c.sequence.desc()).limit(1)).first()
    return _event(row) if row else None


def in_stream(connection: Connection, stream: str) -> tuple[Event, ...]:
    """Return a stream's events in order."""
    query = select(events).where(events.c.stream == stream).order_by(events.c.sequence)
    return tuple(_event(row) for row in connection.execute(query))


def of_kind(connection: Connection, kind: EventKind) -> tuple[Event, ...]:
    """Return all events of one kind, those of a stream in order."""
    query = select(events).where(events.c.kind == kind.value)
    found = connection.execute(query.order_by(events.c.stream, events.c.sequence))
    return tuple(_event(row) for row in found)


def _last_of(stream: str) -> ScalarSelect[int]:
    column = func.coalesce(func.max(events.c.sequence), 0)
    return select(column).where(events.c.stream == bindparam(stream)).scalar_subquery()


# One row: the number of the last event of two streams. Prepared once, for every search asks it.
HEADS: Final = select(_last_of("first"), _last_of("second"))


def heads(connection: Connection, first: str, second: str) -> tuple[int, int]:
    """Return the number of the last event of two streams: equal heads mean an unchanged state."""
    row = connection.execute(HEADS, {"first": first, "second": second}).one()
    return row[0], row[1]


def streams(connection: Connection) -> tuple[str, ...]:
    """Return the names of all streams."""
    query = select(events.c.stream).distinct().order_by(events.c.stream)
    return tuple(connection.execute(query).scalars())


def _event(row: Row[Any]) -> Event:
    try:
        return Event(
            stream=row.stream,
            sequence=row.sequence,
            kind=EventKind(row.kind),
            payload=json.loads(row.payload),
            actor=row.actor,
            at=to_moment(row.at),
            previous_hash=row.previous_hash,
            hash=row.hash,
            signature=row.signature,
        )
    except (ValueError, TypeError) as error:
        raise CorruptFileError(
            f"{row.stream} event {row.sequence}: was changed after it was written: {error}",
            hint="restore the database from a backup",
        ) from error
