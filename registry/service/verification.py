"""Verifying certificates: signature, statement, columns and evidence, at that very moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..db import certificates
from ..db.certificates import StoredCertificate
from ..db.session import Connection
from ..domain.certificates import Certificate
from ..domain.conclusions import check_conclusion
from ..domain.statements import PAYLOAD_TYPE, from_payload, to_payload
from ..dsse import Envelope, parse_envelope
from ..errors import (
    CorruptFileError,
    DigestMismatchError,
    InvalidInputError,
    SignatureError,
    StorageError,
)
from ..galleries import storage
from .context import Context
from .trust import Trust

UNSIGNED = "it is not signed, for it is older than signing: certify again"


def sign_certificate(trust: Trust, certificate: Certificate) -> str:
    """Return a certificate's signed envelope as text.

    Raises:
        NotFoundError: if there is no signing key.
    """
    return trust.ring.sign(PAYLOAD_TYPE, to_payload(certificate)).to_text()


def check_stored(context: Context, connection: Connection, stored: StoredCertificate) -> str | None:
    """Verify all that is kept of a certificate and return the id of the key that signed it.

    Its digest was compared when it was read. None means that it has no envelope; without any
    trusted key the id is only what the envelope says.

    Raises:
        SignatureError: if the envelope is malformed, is of another certificate, or is signed by
            nobody trusted.
        DigestMismatchError: if a column or the evidence is not what was recorded.
        CorruptFileError: if the evidence is missing.
    """
    certificate = stored.certificate
    name = f"certificate {certificate.digest[:12]}"
    certificates.check_columns(connection, certificate)
    _check_evidence(context, stored, name)
    if stored.envelope is None:
        return None
    envelope = parse_envelope(stored.envelope, name)
    if (envelope.payload_type, envelope.payload) != (PAYLOAD_TYPE, to_payload(certificate)):
        raise SignatureError(f"the envelope of {name} is of another certificate than that")
    return _verify(context.trust, envelope, name)


def read_evidence(context: Context, stored: StoredCertificate) -> bytes:
    """Return a certificate's evidence file; errors as `check_stored`'s."""
    with _of_evidence(f"certificate {stored.certificate.digest[:12]}"):
        digest = stored.certificate.evidence_digest
        return storage.read_digested(context.storage, stored.evidence_path, digest)


def _check_evidence(context: Context, stored: StoredCertificate, name: str) -> None:
    with _of_evidence(name):
        digest = stored.certificate.evidence_digest
        storage.verify_digest(context.storage, stored.evidence_path, digest)


@contextmanager
def _of_evidence(name: str) -> Iterator[None]:
    """Let errors say whose evidence they are about."""
    try:
        yield
    except (CorruptFileError, DigestMismatchError, InvalidInputError, StorageError) as error:
        raise type(error)(f"the evidence of {name}: {error}", hint=error.hint) from error


def read_envelope(trust: Trust, text: str, name: str) -> tuple[Certificate, str]:
    """Read a certificate from its envelope alone, and return it with the key that signed it.

    Raises:
        SignatureError: if it is no envelope of a certificate, or is signed by nobody trusted.
        InvalidInputError: if the certificate does not follow from its parts.
    """
    trust.check_active()
    envelope = parse_envelope(text, name)
    key_id = trust.ring.verify(envelope, name)
    return _certificate_in(envelope, name), key_id


def read_unverified(text: str, name: str) -> Certificate:
    """Read a certificate from its envelope, whoever signed it.

    Raises:
        SignatureError: if it is no envelope of a certificate.
        InvalidInputError: if the certificate does not follow from its parts.
    """
    return _certificate_in(parse_envelope(text, name), name)


def _certificate_in(envelope: Envelope, name: str) -> Certificate:
    if envelope.payload_type != PAYLOAD_TYPE:
        raise SignatureError(f"{name} is no in-toto statement: it is {envelope.payload_type!r}")
    try:
        certificate = from_payload(envelope.payload)
    except ValueError as error:
        raise SignatureError(f"{name} cannot be read: {error}", hint="update samespace") from error
    check_conclusion(certificate)
    return certificate


def _verify(trust: Trust, envelope: Envelope, name: str) -> str:
    if not trust.is_active:
        return envelope.signature.key_id
    return trust.ring.verify(envelope, name)
