"""What every use case needs: the database, the storage, the clock and who is asking."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from ..db import events, versions
from ..db.session import Connection, Engine, Watch
from ..domain.canonical import Json
from ..domain.events import Event, EventKind, model_stream
from ..domain.promotions import fold_aliases
from ..domain.refs import AliasRef, VersionRef, parse_ref
from ..domain.versions import ModelVersion
from ..errors import NotFoundError
from .trust import Trust


@dataclass(frozen=True, slots=True)
class Context:
    """The surroundings of a use case.

    Attributes:
        engine: the database.
        watch: asks it whether anything happened.
        storage: folder under which all files lie; rows hold paths relative to it.
        clock: gives the present, in UTC.
        actor: who is asking, for the audit trail.
        trust: signs events and verifies them.
    """

    engine: Engine
    watch: Watch
    storage: Path
    clock: Callable[[], datetime]
    actor: str
    trust: Trust

    def record(
        self, connection: Connection, stream: str, kind: EventKind, payload: dict[str, Json]
    ) -> Event:
        """Append an event in the caller's transaction, signed if there is a key.

        Raises:
            NotFoundError: if there is no key, and the event counts only if it is signed.
        """
        event = Event.following(
            events.last(connection, stream),
            stream=stream,
            kind=kind,
            payload=payload,
            actor=self.actor,
            at=self.clock().astimezone(UTC),  # what is hashed is what is stored
        )
        signed = replace(event, signature=self.trust.sign(event))
        events.insert_event(connection, signed)
        return signed


def resolve(connection: Connection, ref: str | VersionRef | AliasRef, trust: Trust) -> ModelVersion:
    """Return the version behind a reference.

    Raises:
        InvalidRefError: if a text is no reference.
        NotFoundError: if there is no such version or alias.
        SignatureError: if nobody trusted moved the alias where it is.
    """
    found = parse_ref(ref) if isinstance(ref, str) else ref
    if isinstance(found, AliasRef):
        line = events.in_stream(connection, model_stream(found.model))
        trust.check_aliases(line)
        aliases = fold_aliases(line)
        if found.alias not in aliases:
            versions.model_id(connection, found.model)
            known = [f"{found.model}:{alias}" for alias in aliases]
            raise NotFoundError.among("alias", str(found), known)
        found = VersionRef(found.model, aliases[found.alias])
    return versions.get_version(connection, found)
