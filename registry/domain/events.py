"""Events: hash-chained facts, one chain a stream, from which all mutable state is folded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from .canonical import Json, digest_json

GENESIS = "0" * 64


class EventKind(StrEnum):
    """What can happen."""

    VERSION_REGISTERED = "version-registered"
    CONTRACT_DECLARED = "contract-declared"
    GALLERY_CREATED = "gallery-created"
    ITEMS_ADDED = "items-added"
    ITEMS_DELETED = "items-deleted"
    SEGMENT_SEALED = "segment-sealed"
    SLOTS_ASSIGNED = "slots-assigned"
    PROBE_REGISTERED = "probe-registered"
    CERTIFICATE_RECORDED = "certificate-recorded"
    CERTIFICATE_REVOKED = "certificate-revoked"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled-back"
    CHAIN_ADOPTED = "chain-adopted"


# what a reader acts on without asking further: these count only if somebody trusted signed them
_TRUST_KINDS = frozenset(
    {
        EventKind.GALLERY_CREATED,
        EventKind.PROBE_REGISTERED,
        EventKind.CERTIFICATE_RECORDED,
        EventKind.CERTIFICATE_REVOKED,
        EventKind.PROMOTED,
        EventKind.ROLLED_BACK,
        EventKind.CHAIN_ADOPTED,
    }
)


def model_stream(model: str) -> str:
    """Return the stream of a model line: versions, contracts, probes, certificates, promotions."""
    return f"model:{model}"


def gallery_stream(gallery: str) -> str:
    """Return the stream of a gallery's content."""
    return f"gallery:{gallery}"


@dataclass(frozen=True, slots=True)
class Event:
    """One fact: who did what when. `hash` covers everything here and the hash before it.

    The signature, if there is one, is of the hash, and is not covered by it.
    """

    stream: str
    sequence: int
    kind: EventKind
    payload: Mapping[str, Json]
    actor: str
    at: datetime
    previous_hash: str
    hash: str
    signature: str | None = None

    @property
    def name(self) -> str:
        """Which event it is, in words."""
        return f"{self.stream} event {self.sequence} ({self.kind})"

    @property
    def serves(self) -> bool:
        """Whether it says what a gallery serves: of whatever kind, it is read as that."""
        return "serving" in self.payload

    @property
    def moves_trust(self) -> bool:
        """Whether it counts only if somebody trusted signed it."""
        return self.kind in _TRUST_KINDS or self.serves

    @classmethod
    def following(
        cls,
        previous: Event | None,
        *,
        stream: str,
        kind: EventKind,
        payload: Mapping[str, Json],
        actor: str,
        at: datetime,
    ) -> Event:
        """Make the event that comes next in a stream."""
        sequence = previous.sequence + 1 if previous else 1
        before = previous.hash if previous else GENESIS
        unsealed = cls(stream, sequence, kind, payload, actor, at, before, "")
        return cls(stream, sequence, kind, payload, actor, at, before, unsealed.computed_hash())

    def computed_hash(self) -> str:
        """Return the hash that these values have."""
        body: dict[str, Json] = {
            "stream": self.stream,
            "sequence": self.sequence,
            "kind": self.kind.value,
            "payload": dict(self.payload),
            "actor": self.actor,
            "at": self.at.isoformat(),
            "previous_hash": self.previous_hash,
        }
        return digest_json(body)


def find_break(events: Iterable[Event]) -> str | None:
    """Return where a stream's chain is broken, in words, or None if it is whole."""
    before = GENESIS
    for sequence, event in enumerate(events, start=1):
        name = f"{event.stream} event {event.sequence}"
        if event.sequence != sequence:
            return f"{name}: event {sequence} is missing"
        if event.previous_hash != before:
            return f"{name}: does not follow the event before it"
        if event.computed_hash() != event.hash:
            return f"{name}: was changed after it was written"
        before = event.hash
    return None
