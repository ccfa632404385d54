"""Verifying certificates: signature, statement, columns and evidence, at that very moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ..db import certificates
from ..db.certificates import StoredCertificate
from ..db.session import Connection
from ..domain.certificates import Certificate
from ..domain.conclusions import check_conclusion
from ..domain.events import Event
from ..domain.redactions import Redaction, find_redactions
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


@dataclass(frozen=True, slots=True)
class EvidenceFile:
    """The evidence of a certificate as it is now.

    Attributes:
        data: the file's bytes, which have the digest.
        digest: SHA-256 that the certificate names, or the last redaction.
        redactions: what was taken out of it since it was recorded, oldest first.
    """

    data: bytes
    digest: str
    redactions: tuple[Redaction, ...]


def sign_certificate(trust: Trust, certificate: Certificate) -> str:
    """Return a certificate's signed envelope as text.

    Raises:
        NotFoundError: if there is no signing key.
    """
    return trust.ring.sign(PAYLOAD_TYPE, to_payload(certificate)).to_text()


def check_stored(
    context: Context, connection: Connection, stored: StoredCertificate, line: Sequence[Event]
) -> str | None:
    """Verify all that is kept of a certificate and return the id of the key that signed it.

    The line is the model line's events, among which are those that tell of redacted evidence.

    Its digest was compared when it was read. None means that it has no envelope; without any
    trusted key the id is only what the envelope says.

    Raises:
        SignatureError: if the envelope is malformed, is of another certificate, or it or a
            redaction is signed by nobody trusted.
        DigestMismatchError: if a column or the evidence is not what was recorded.
        CorruptFileError: if the evidence is missing.
    """
    certificate = stored.certificate
    name = _name(stored)
    certificates.check_columns(connection, certificate)
    _check_evidence(context, stored, line)
    if stored.envelope is None:
        return None
    envelope = parse_envelope(stored.envelope, name)
    if (envelope.payload_type, envelope.payload) != (PAYLOAD_TYPE, to_payload(certificate)):
        raise SignatureError(f"the envelope of {name} is of another certificate than that")
    return _verify(context.trust, envelope, name)


def read_evidence(
    context: Context, stored: StoredCertificate, line: Sequence[Event]
) -> EvidenceFile:
    """Return a certificate's evidence as it is now; errors as `check_stored`'s."""
    redactions = trusted_redactions(context, stored.certificate, line)
    path, digest = _present(stored, redactions)
    with _of_evidence(_name(stored)):
        data = storage.read_digested(context.storage, path, digest)
    return EvidenceFile(data, digest, redactions)


def trusted_redactions(
    context: Context, certificate: Certificate, line: Sequence[Event]
) -> tuple[Redaction, ...]:
    """Return what was taken out of a certificate's evidence, as somebody trusted told.

    Raises:
        SignatureError: if nobody trusted did.
        DigestMismatchError: if the steps do not follow from each other.
    """
    found = find_redactions(line, certificate)
    context.trust.check_signed(line, [step.event for step in found if step.event is not None])
    return found


def _check_evidence(context: Context, stored: StoredCertificate, line: Sequence[Event]) -> None:
    path, digest = _present(stored, trusted_redactions(context, stored.certificate, line))
    with _of_evidence(_name(stored)):
        storage.verify_digest(context.storage, path, digest)


def _present(stored: StoredCertificate, redactions: Sequence[Redaction]) -> tuple[str, str]:
    if redactions:
        return redactions[-1].path, redactions[-1].after
    return stored.evidence_path, stored.certificate.evidence_digest


def _name(stored: StoredCertificate) -> str:
    return f"certificate {stored.certificate.digest[:12]}"


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
