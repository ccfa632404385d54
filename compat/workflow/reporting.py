"""Reports from what was just certified, or from what the registry holds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from compat.evidence import read_evidence
from compat.report import Entry, Report, backfill_curves, roc_curves
from registry.domain.certificates import Certificate
from registry.errors import NotFoundError
from registry.service import Registry
from registry.service.standing import CertificateState

from .certifying import Certification


def report_of(made: Sequence[Certification], written_at: datetime) -> Report:
    """Return the report on what `certify` returned."""
    entries = tuple(
        Entry(
            one.certificate,
            read_evidence(one.evidence, one.certificate.evidence_digest, "the evidence"),
        )
        for one in made
    )
    return _report(entries, written_at, is_dry_run=not all(one.is_recorded for one in made))


def _report(
    entries: tuple[Entry, ...], written_at: datetime, *, is_dry_run: bool = False
) -> Report:
    """Return a report with the curves that its entries hold."""
    roc, backfill = roc_curves(entries), backfill_curves(entries)
    return Report(entries, written_at, is_dry_run=is_dry_run, roc=roc, backfill=backfill)


def read_report(registry: Registry, gallery: str, digest: str | None = None) -> Report:
    """Return the report on what the registry holds; evidence is verified before it is parsed.

    Args:
        registry: an open registry.
        gallery: name of the gallery.
        digest: beginning of the digest of the one certificate to report on. By default all of the
            last certification: those of the same queries and rules as the newest, each pair once.

    Raises:
        NotFoundError: if there is no such certificate of the gallery.
        DigestMismatchError: if a certificate or its evidence is not what was recorded.
        CorruptFileError: if the evidence is missing.
    """
    states = registry.certificates.of_gallery(gallery)
    if digest is None:
        chosen = _last_certification(states)
    else:
        name = registry.certificates.get(digest).digest
        chosen = [state for state in states if state.certificate.digest == name]
    if not chosen:
        what = "holds no certificate" if digest is None else f"holds no certificate {digest!r}"
        raise NotFoundError(f"gallery {gallery!r} {what}", hint="see 'samespace status'")
    entries = sorted((_entry(registry, state) for state in chosen), key=lambda e: e.is_rollback)
    return _report(tuple(entries), registry.now())


def _last_certification(states: Sequence[CertificateState]) -> list[CertificateState]:
    if not states:
        return []
    of_same = _certification(states[-1].certificate)
    newest = {
        (str(made.query_version), str(made.gallery_version)): state
        for state in states
        for made in (state.certificate,)
        if _certification(made) == of_same
    }
    return list(newest.values())


def _certification(certificate: Certificate) -> tuple[object, ...]:
    """Return what certificates of one certification share."""
    return certificate.probe_digest, dict(certificate.policy), certificate.issued_by


def _entry(registry: Registry, state: CertificateState) -> Entry:
    made = state.certificate
    data = registry.certificates.evidence(made.digest)
    return Entry(
        made,
        read_evidence(data, made.evidence_digest, f"the evidence of {made.digest[:12]}"),
        state.staleness,
    )
