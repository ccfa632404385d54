"""Certificates: the canonical JSON, its envelope, and the columns that are asked for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select

from ..domain.canonical import canonical_json, digest_json, sha256_text
from ..domain.certificates import Certificate
from ..domain.galleries import StoredFile
from ..errors import AlreadyExistsError, DigestMismatchError, NotFoundError
from .galleries import get_gallery_id, lock_gallery
from .session import to_text
from .tables import certificates, galleries
from .versions import version_id


@dataclass(frozen=True, slots=True)
class StoredCertificate:
    """A certificate as it is kept.

    Attributes:
        certificate: the certificate, checked against its digest.
        envelope: the signed envelope as text, or None if it was recorded without one.
        evidence_path: where the evidence lies in the storage.
    """

    certificate: Certificate
    envelope: str | None
    evidence_path: str


def insert_certificate(
    connection: Connection,
    certificate: Certificate,
    evidence: StoredFile,
    envelope: str | None,
) -> None:
    """Record a certificate under its digest.

    Raises:
        AlreadyExistsError: if it is recorded already.
    """
    digest = certificate.digest
    query = select(certificates.c.digest).where(certificates.c.digest == digest)
    if connection.execute(query).first():
        raise AlreadyExistsError(f"certificate {digest[:12]} is recorded already")
    lock_gallery(connection, certificate.gallery)
    connection.execute(
        insert(certificates).values(
            **_columns(connection, certificate),
            evidence_path=evidence.path,
            envelope=envelope,
        )
    )


def _columns(connection: Connection, certificate: Certificate) -> dict[str, str | int]:
    """Return all columns that follow from the certificate itself."""
    return {
        "digest": certificate.digest,
        "gallery_id": get_gallery_id(connection, certificate.gallery),
        "query_version_id": version_id(connection, certificate.query_version),
        "gallery_version_id": version_id(connection, certificate.gallery_version),
        "verdict": certificate.verdict.value,
        "policy_digest": digest_json(dict(certificate.policy)),
        "evidence_digest": certificate.evidence_digest,
        "issued_at": to_text(certificate.issued_at),
        "expires_at": to_text(certificate.expires_at),
        "body": canonical_json(certificate.to_json()),
    }


def check_columns(connection: Connection, certificate: Certificate) -> None:
    """Compare the columns that are kept beside a certificate with what it says itself.

    Raises:
        DigestMismatchError: naming those that differ.
    """
    query = select(certificates).where(certificates.c.digest == certificate.digest)
    row = connection.execute(query).one()._mapping  # noqa: SLF001 -- SQLAlchemy's public name
    expected = _columns(connection, certificate)
    wrong = [name for name, value in expected.items() if row[name] != value]
    if wrong:
        raise DigestMismatchError(
            f"certificate {certificate.digest[:12]}: the database keeps another "
            f"{', '.join(wrong)} beside it than it says itself"
        )


def digests_of_gallery(connection: Connection, gallery: str) -> tuple[str, ...]:
    """Return the digests of a gallery's certificates, oldest first, nothing checked."""
    return tuple(row.digest for row in connection.execute(_of_gallery(gallery)))


def of_gallery(connection: Connection, gallery: str) -> tuple[StoredCertificate, ...]:
    """Return a gallery's certificates, oldest first, each checked against its digest."""
    return tuple(_stored(row) for row in connection.execute(_of_gallery(gallery)))


def get_certificate(connection: Connection, digest: str) -> StoredCertificate:
    """Return the certificate whose digest begins so.

    Raises:
        NotFoundError: if none or more than one does.
        DigestMismatchError: if it was changed.
    """
    query = select(certificates).where(certificates.c.digest.startswith(digest, autoescape=True))
    rows = connection.execute(query.limit(2)).all()
    if len(rows) != 1:
        what = "more than one certificate begins" if rows else "no certificate begins"
        raise NotFoundError(f"{what} with {digest!r}", hint="see 'samespace status'")
    return _stored(rows[0])


def _of_gallery(gallery: str) -> Select[Any]:
    return (
        select(certificates)
        .join(galleries)
        .where(galleries.c.name == gallery)
        .order_by(certificates.c.issued_at, certificates.c.digest)
    )


def _stored(row: Row[Any]) -> StoredCertificate:
    found = sha256_text(row.body)
    if found != row.digest:
        raise DigestMismatchError(
            f"certificate {row.digest[:12]} was changed in the database: "
            f"its digest is {found[:12]}",
            hint="it proves nothing any more: certify again",
        )
    try:
        certificate = Certificate.from_json(json.loads(row.body))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DigestMismatchError(
            f"certificate {row.digest[:12]} was changed in the database: it is none any more",
            hint="it proves nothing any more: certify again",
        ) from error
    return StoredCertificate(certificate, row.envelope, row.evidence_path)
