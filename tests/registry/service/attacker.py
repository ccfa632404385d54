"""Somebody who may edit every file of a registry and its database, but has none of its keys."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeGuard

from registry import Registry
from registry.db.session import to_moment, to_text
from registry.domain.canonical import canonical_json, sha256_text
from registry.domain.events import GENESIS, Event, EventKind
from registry.errors import SamespaceError
from registry.keys import KeyRing
from registry.service.trust import Trust


@contextmanager
def database(folder: Path) -> Iterator[sqlite3.Connection]:
    """The registry's database, opened behind samespace's back."""
    with closing(sqlite3.connect(folder / "samespace.db")) as connection:
        connection.row_factory = sqlite3.Row
        yield connection
        connection.commit()


def rechain(connection: sqlite3.Connection) -> None:
    """Number every chain and compute its hashes again, so that all chains are whole."""
    streams = connection.execute("SELECT DISTINCT stream FROM events").fetchall()
    for (stream,) in streams:
        before = GENESIS
        rows = connection.execute(
            "SELECT * FROM events WHERE stream = ? ORDER BY sequence", (stream,)
        ).fetchall()
        for sequence, row in enumerate(rows, start=1):
            event = _event(row, sequence, before)
            connection.execute(
                "UPDATE events SET sequence = ?, previous_hash = ?, hash = ? WHERE id = ?",
                (sequence, before, event.hash, row["id"]),
            )
            before = event.hash


def _event(row: sqlite3.Row, sequence: int, before: str) -> Event:
    event = Event(
        row["stream"],
        sequence,
        EventKind(row["kind"]),
        json.loads(row["payload"]),
        row["actor"],
        to_moment(row["at"]),
        before,
        "",
    )
    return replace(event, hash=event.computed_hash())


def append(
    folder: Path, stream: str, kind: EventKind, payload: Mapping[str, Any], keys: Path | None = None
) -> None:
    """Append a forged event with a right hash; signed, if the attacker has keys."""
    with database(folder) as connection:
        row = connection.execute(
            "SELECT * FROM events WHERE stream = ? ORDER BY sequence DESC", (stream,)
        ).fetchone()
        last = replace(_event(row, row["sequence"], row["previous_hash"]), hash=row["hash"])
        made = Event.following(
            last, stream=stream, kind=kind, payload=payload, actor="tester", at=last.at
        )
        signature = Trust(KeyRing(keys)).sign(made) if keys else None
        connection.execute(
            "INSERT INTO events (stream, sequence, kind, payload, actor, at, previous_hash, hash, "
            "signature) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(made.stream, made.sequence, made.kind.value, canonical_json(dict(payload))),
                *(made.actor, to_text(made.at), made.previous_hash, made.hash, signature),
            ),
        )


def redigest(connection: sqlite3.Connection, digest: str) -> None:
    """Give a certificate whose body was changed its new name, in the events as well."""
    (body,) = connection.execute("SELECT body FROM certificates WHERE digest = ?", (digest,))
    new = sha256_text(body["body"])
    connection.execute("UPDATE certificates SET digest = ? WHERE digest = ?", (new, digest))
    connection.execute("UPDATE events SET payload = replace(payload, ?, ?)", (digest, new))


def complaints(registry: Registry, gallery: str) -> str:
    """All that doctor would say of a gallery and of the events, in one text."""
    integrity = registry.integrity
    checks: list[Callable[[], object]] = [
        integrity.find_breaks,
        integrity.find_untrusted,
        lambda: integrity.find_replaced(gallery),
        lambda: registry.certificates.verify_all(gallery),
        lambda: integrity.check_served(gallery),
        lambda: registry.galleries.verify_files(gallery),
    ]
    said = []
    for check in checks:
        try:
            found = check()
        except SamespaceError as error:
            said.append(str(error))
        else:
            said += [text for text in found if isinstance(text, str)] if _many(found) else []
    return "; ".join(said)


def _many(found: object) -> TypeGuard[tuple[object, ...]]:
    return isinstance(found, tuple)
