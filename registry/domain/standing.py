"""What became of a certificate: folded from the events after it, and from the present facts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from .certificates import Certificate
from .events import Event, EventKind


class Standing(StrEnum):
    """Whether a certificate may still be relied on for what it says."""

    VALID = "valid"
    EXPIRED = "expired"
    STALE = "stale"
    REVOKED = "revoked"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class Condition:
    """A standing and, unless it is valid, why."""

    standing: Standing
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.standing}: {self.reason}" if self.reason else self.standing.value


@dataclass(frozen=True, slots=True)
class History:
    """What events say of one certificate.

    Attributes:
        recorded: the event that recorded it, or None if no event did.
        revoked: the event that revoked it, or None.
        successor: digest of a certificate of the same pair that was recorded later, or None.
    """

    recorded: Event | None
    revoked: Event | None
    successor: str | None


def find_history(line: Iterable[Event], digest: str) -> History:
    """Fold a model line's events into what they say of one certificate.

    What was recorded last speaks for its pair: an older one is superseded, for good or ill, even
    if the last one is revoked later.
    """
    recorded: Event | None = None
    revoked: Event | None = None
    successor: str | None = None
    for event in line:
        is_this = event.payload.get("certificate") == digest
        if event.kind is EventKind.CERTIFICATE_RECORDED:
            if is_this:
                recorded, successor = event, None
            elif recorded is not None and _pair(event) == _pair(recorded):
                successor = str(event.payload["certificate"])
        elif event.kind is EventKind.CERTIFICATE_REVOKED and is_this and revoked is None:
            revoked = event
    return History(recorded, revoked, successor)


def find_condition(
    certificate: Certificate, history: History, staleness: str | None, now: datetime
) -> Condition:
    """Return the standing of a certificate; what was decided goes before what came about.

    Args:
        certificate: the certificate in question.
        history: what events say of it.
        staleness: which of its inputs changed, in words, or None.
        now: the present, in UTC.
    """
    event = history.revoked
    if event is not None:
        why = f"{event.payload.get('reason', '')}, by {event.actor} on {event.at:%Y-%m-%d}"
        return Condition(Standing.REVOKED, why)
    if history.successor is not None:
        return Condition(Standing.SUPERSEDED, f"by {history.successor[:12]}")
    if now >= certificate.expires_at:
        return Condition(Standing.EXPIRED, f"on {certificate.expires_at:%Y-%m-%d}")
    return Condition(Standing.VALID) if staleness is None else Condition(Standing.STALE, staleness)


def _pair(event: Event) -> tuple[object, ...]:
    return tuple(event.payload.get(k) for k in ("gallery", "query_version", "gallery_version"))
