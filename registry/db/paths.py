"""Which files committed rows name, and which ones they named before others took their place."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import Connection, select

from ..domain.events import EventKind
from ..domain.redactions import Redaction
from .events import of_kind
from .galleries import get_gallery_id, is_superseded
from .tables import certificates, parts, probe_sets, segment_indexes, segments


def stored_paths(connection: Connection) -> frozenset[str]:
    """Return every path that a committed row names."""
    found = {chain[-1] for chain in _evidence(connection).values()}
    found.update(chain[-1] for chain in _probes(connection).values())
    for table in (parts, segment_indexes):
        query = select(table.c.path).join(segments).where(~is_superseded())
        found.update(connection.execute(query).scalars())
    return frozenset(found)


def superseded_paths(connection: Connection, gallery: str) -> tuple[str, ...]:
    """Return the paths of a gallery's files that others took the place of, sorted.

    These are the files of older generations of its segments, and evidence and probe sets that were
    redacted since.
    Whether they are still there is another question.
    """
    key = get_gallery_id(connection, gallery)
    found: set[str] = set()
    for table in (parts, segment_indexes):
        query = select(table.c.path).join(segments)
        query = query.where(segments.c.gallery_id == key, is_superseded())
        found.update(connection.execute(query).scalars())
    for chain in _evidence(connection, key).values():
        found.update(chain[:-1])
    for chain in _probes(connection, key).values():
        found.update(chain[:-1])
    return tuple(sorted(found - stored_paths(connection)))


def _evidence(connection: Connection, gallery: int | None = None) -> dict[str, list[str]]:
    """Return the paths of each certificate's evidence, the present one last."""
    query = select(certificates.c.digest, certificates.c.evidence_path)
    if gallery is not None:
        query = query.where(certificates.c.gallery_id == gallery)
    redacted = _redacted(connection)
    return {
        row.digest: [row.evidence_path, *redacted[row.digest]] for row in connection.execute(query)
    }


def _probes(connection: Connection, gallery: int | None = None) -> dict[str, list[str]]:
    """Return the paths of each probe set's file, the present one last."""
    query = select(probe_sets.c.name, probe_sets.c.path)
    if gallery is not None:
        query = query.where(probe_sets.c.gallery_id == gallery)
    found = {row.name: [row.path] for row in connection.execute(query)}
    for event in of_kind(connection, EventKind.PROBE_REDACTED):
        if (name := event.payload.get("probe")) in found:
            found[str(name)].append(str(event.payload.get("path")))
    return found


def _redacted(connection: Connection) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for event in of_kind(connection, EventKind.EVIDENCE_REDACTED):
        step = Redaction.from_event(event)
        found[step.certificate].append(step.path)
    return found
