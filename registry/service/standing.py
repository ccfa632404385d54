"""What became of certificates: whether one may be relied on at this moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ..db import certificates, versions
from ..db.session import Connection
from ..domain.certificates import Certificate, Verdict
from ..domain.events import Event, EventKind
from ..domain.liveness import find_staleness
from ..domain.refs import VersionRef
from ..domain.standing import Condition, Standing, find_condition, find_history
from .context import Context
from .verification import UNSIGNED, check_stored
from .views import GalleryState


@dataclass(frozen=True, slots=True)
class CertificateState:
    """A certificate and what became of it."""

    certificate: Certificate
    condition: Condition

    @property
    def staleness(self) -> str | None:
        """Why it lets nobody search, in words, or None if it does."""
        verdict, reason = self.certificate.verdict, self.condition.reason
        if verdict is not Verdict.COMPATIBLE:
            return f"it says {verdict}"
        return {
            Standing.VALID: None,
            Standing.STALE: reason,
            Standing.EXPIRED: f"it expired {reason}",
            Standing.REVOKED: f"it was revoked: {reason}",
            Standing.SUPERSEDED: f"it was superseded {reason}",
        }[self.condition.standing]


def find_live(
    context: Context,
    connection: Connection,
    state: GalleryState,
    query: VersionRef,
    gallery_version: VersionRef,
) -> tuple[Certificate | None, str]:
    """Return the newest certificate that lets one version search another's vectors, verified.

    What was recorded last speaks for the pair: an old COMPATIBLE one does not outlive a later
    refusal. Only certificates that the chain of events names count, and the caller has checked
    that chain (`Trust.check_line`).

    Returns:
        The certificate, or None with the reason why there is none.

    Raises:
        SignatureError: if that certificate's envelope is malformed or is signed by nobody trusted.
        DigestMismatchError: if it, or its evidence, was changed.
    """
    digest = _last_recorded(state.line, state.gallery.name, query, gallery_version)
    if digest is None:
        return None, "it was never certified"
    stored = certificates.get_certificate(connection, digest)
    if check_stored(context, connection, stored, state.line) is None:
        return None, UNSIGNED
    found = condition_of(connection, state, stored.certificate, context.clock())
    return (found.certificate, "") if found.staleness is None else (None, found.staleness)


def _last_recorded(
    line: Sequence[Event], gallery: str, query: VersionRef, held: VersionRef
) -> str | None:
    pair = {"gallery": gallery, "query_version": query.number, "gallery_version": held.number}
    recorded = [
        event.payload
        for event in line
        if event.kind is EventKind.CERTIFICATE_RECORDED and event.payload.items() >= pair.items()
    ]
    return str(recorded[-1]["certificate"]) if recorded else None


def condition_of(
    connection: Connection, state: GalleryState, certificate: Certificate, now: datetime
) -> CertificateState:
    """Return a certificate with what became of it, in the caller's transaction."""
    pair = (
        state.versions[certificate.query_version.number],
        state.versions[certificate.gallery_version.number],
    )
    staleness = find_staleness(
        certificate,
        query_version=pair[0],
        gallery_version=pair[1],
        contract=versions.get_contract(connection, *pair),
        gallery=state.gallery,
    )
    history = find_history(state.line, certificate.digest)
    return CertificateState(certificate, find_condition(certificate, history, staleness, now))
