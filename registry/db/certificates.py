"""Certificates: the canonical JSON, and the columns that are asked for."""

from __future__ import annotations

import json

from sqlalchemy import Connection, insert, select

from ..domain.canonical import canonical_json, digest_json, sha256_text
from ..domain.certificates import Certificate
from ..domain.galleries import StoredFile
from ..errors import AlreadyExistsError, DigestMismatchError, NotFoundError
from .galleries import lock_gallery
from .session import to_text
from .tables import certificates, galleries
from .versions import version_id


def insert_certificate(
    connection: Connection, certificate: Certificate, evidence: StoredFile
) -> None:
    """Record a certificate under its digest.

    Raises:
        AlreadyExistsError: if it is recorded already.
    """
    digest = certificate.digest
    query = select(certificates.c.digest).where(certificates.c.digest == digest)
    if connection.execute(query).first():
        raise AlreadyExistsError(f"certificate {digest[:12]} is recorded already")
    connection.execute(
        insert(certificates).values(
            digest=digest,
            gallery_id=lock_gallery(connection, certificate.gallery),
            query_version_id=version_id(connection, certificate.query_version),
            gallery_version_id=version_id(connection, certificate.gallery_version),
            verdict=certificate.verdict.value,
            policy_digest=digest_json(dict(certificate.policy)),
            evidence_path=evidence.path,
            evidence_digest=evidence.digest,
            issued_at=to_text(certificate.issued_at),
            expires_at=to_text(certificate.expires_at),
            body=canonical_json(certificate.to_json()),
        )
    )


def of_gallery(connection: Connection, gallery: str) -> tuple[Certificate, ...]:
    """Return a gallery's certificates, oldest first, each checked against its digest."""
    query = (
        select(certificates.c.digest, certificates.c.body)
        .join(galleries)
        .where(galleries.c.name == gallery)
        .order_by(certificates.c.issued_at, certificates.c.digest)
    )
    return tuple(_certificate(row.digest, row.body) for row in connection.execute(query))


def evidence_paths(connection: Connection, gallery: str) -> dict[str, str]:
    """Return where the evidence of each of a gallery's certificates lies, by its digest."""
    query = (
        select(certificates.c.digest, certificates.c.evidence_path)
        .join(galleries)
        .where(galleries.c.name == gallery)
    )
    return {row.digest: row.evidence_path for row in connection.execute(query)}


def get_certificate(connection: Connection, digest: str) -> Certificate:
    """Return the certificate whose digest begins so.

    Raises:
        NotFoundError: if none or more than one does.
    """
    query = select(certificates.c.digest, certificates.c.body).where(
        certificates.c.digest.startswith(digest, autoescape=True)
    )
    rows = connection.execute(query.limit(2)).all()
    if len(rows) != 1:
        what = "more than one certificate begins" if rows else "no certificate begins"
        raise NotFoundError(f"{what} with {digest!r}", hint="see 'samespace status'")
    return _certificate(rows[0].digest, rows[0].body)


def _certificate(digest: str, body: str) -> Certificate:
    found = sha256_text(body)
    if found != digest:
        raise DigestMismatchError(
            f"certificate {digest[:12]} was changed in the database: its digest is {found[:12]}",
            hint="it proves nothing any more: certify again",
        )
    return Certificate.from_json(json.loads(body))
