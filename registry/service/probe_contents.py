"""What a registered probe set is now: as its event says, less what was erased since."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..db import events, galleries, probes
from ..db.session import Connection
from ..domain.certificates import Certificate
from ..domain.events import Event, EventKind, model_stream
from ..domain.galleries import StoredFile
from ..domain.probe_redactions import (
    ProbeRedaction,
    find_probe_redactions,
    last_of,
    since_measured,
)
from ..domain.probe_sets import ProbeSet
from ..errors import DigestMismatchError, SamespaceError
from ..galleries import storage
from .context import Context
from .trust import Trust


def line_of(connection: Connection, gallery: str) -> tuple[Event, ...]:
    """Return the events of a gallery's model line, which tell of its probe sets."""
    model = galleries.get_gallery(connection, gallery).model
    return events.in_stream(connection, model_stream(model))


def present(line: Sequence[Event], registered: ProbeSet) -> ProbeSet:
    """Return a set as it is now, by whoever told.

    Raises:
        DigestMismatchError: if what was erased from it does not follow from what it was.
    """
    return last_of(registered, find_probe_redactions(line, registered))


def trusted_steps(
    trust: Trust, line: Sequence[Event], registered: ProbeSet
) -> tuple[ProbeRedaction, ...]:
    """Return what was erased from a set, once its row is known to be as somebody trusted told.

    Raises:
        DigestMismatchError: if the row is not what the event says that registered it, or an
            event does not follow from the one before.
        SignatureError: if nobody trusted registered it, or took something out of it.
    """
    event = told(line, registered.gallery).get(registered.name)
    if event is None:
        raise DigestMismatchError(
            f"probe set {registered.name!r} was slipped into the database: no event registered it"
        )
    trust.check_told(line, event, f"probe set {registered.name!r}")
    said = (dict(event.payload), event.at, event.actor)
    if said != (registered.to_json(), registered.registered_at, registered.registered_by):
        raise DigestMismatchError(
            f"probe set {registered.name!r} was changed in the database: "
            f"{event.name} registered another",
            hint="restore the database from a backup",
        )
    steps = find_probe_redactions(line, registered)
    for step in steps:
        if step.event is not None:
            trust.check_told(line, step.event, f"what was erased from {registered.name!r}")
    return steps


def steps_since(
    trust: Trust, connection: Connection, certificate: Certificate, line: Sequence[Event]
) -> tuple[ProbeRedaction, ...]:
    """Return what was erased from a certificate's probe set since it was measured on it.

    Raises:
        DigestMismatchError, SignatureError: as `trusted_steps`.
    """
    name = certificate.probe_set.get("name")
    registered = None if name is None else probes.find_set(connection, str(name))
    if registered is None:  # none was asked, or it was removed, which `verify_all` tells
        return ()
    return since_measured(trusted_steps(trust, line, registered), certificate)


def told(line: Sequence[Event], gallery: str) -> dict[str, Event]:
    """Return the event that registered each of a gallery's sets: the first, as none comes twice."""
    found: dict[str, Event] = {}
    for event in line:
        if event.kind is EventKind.PROBE_REGISTERED and event.payload.get("gallery") == gallery:
            found.setdefault(str(event.payload["probe"]), event)
    return found


def write_file(context: Context, gallery: str, data: bytes) -> StoredFile:
    """Write the file of a set. It is litter until a row or an event names it."""
    relative = f"probes/{gallery}/{uuid.uuid4().hex}.parquet"
    return storage.write_bytes(context.storage, relative, data)


@contextmanager
def of_set(name: str) -> Iterator[None]:
    """Let errors say whose file they are about."""
    try:
        yield
    except SamespaceError as error:
        raise type(error)(f"the file of probe set {name!r}: {error}", hint=error.hint) from error
