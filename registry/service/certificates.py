"""Use cases of certificates: recording, revoking, verifying, and asking which still hold."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from ..db import certificates, events, galleries, versions
from ..db.certificates import StoredCertificate
from ..db.session import Connection, read, write
from ..domain.attempts import Attempt, number_attempt
from ..domain.canonical import Json
from ..domain.certificates import Certificate
from ..domain.conclusions import check_conclusion
from ..domain.events import EventKind, model_stream
from ..domain.galleries import StoredFile
from ..domain.standing import find_history
from ..errors import (
    ConflictError,
    DigestMismatchError,
    InvalidInputError,
    SamespaceError,
    SignatureError,
)
from ..galleries import storage
from .context import Context, write_naming
from .recording import check_recordable
from .standing import CertificateState, condition_of
from .verification import check_stored, read_evidence, sign_certificate
from .views import read_state


@dataclass(frozen=True, slots=True)
class Verified:
    """A certificate of which signature, columns and evidence are as they were recorded.

    Attributes:
        certificate: the certificate.
        key_id: the trusted key that signed it, or None if it is older than signing.
        envelope: its signed envelope as text, or None.
    """

    certificate: Certificate
    key_id: str | None
    envelope: str | None


class Certificates:
    """Certificates of all galleries."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def check_signer(self) -> None:
        """Make sure that a certificate could be signed, before hours are spent on one.

        Raises:
            NotFoundError: if there is no signing key.
        """
        _ = self._context.trust.ring.signing

    def record(self, certificate: Certificate, evidence: bytes) -> str:
        """Sign and record a certificate with its evidence file, and return its digest.

        Raises:
            InvalidInputError: if a version is not of the gallery's model line, it claims more than
                its findings and controls say, or its probe set is another than the registered one.
            SpaceMismatchError: if a fingerprint or the metric is not the registered one.
            UndeclaredComparisonError: if the pair has no contract, or another one.
            ConflictError: if another attempt on the same queries was recorded meanwhile.
            DigestMismatchError: if the evidence is not what the certificate rests on.
            AlreadyExistsError: if it is recorded already.
            NotFoundError: if there is no signing key.
        """
        check_conclusion(certificate)
        envelope = sign_certificate(self._context.trust, certificate)
        relative = f"certificates/{certificate.gallery}/{uuid.uuid4().hex}.parquet"
        file = storage.write_bytes(self._context.storage, relative, evidence)
        with write_naming(self._context, file) as connection:
            self._insert(connection, certificate, file, envelope)
        return certificate.digest

    def _insert(
        self, connection: Connection, certificate: Certificate, file: StoredFile, envelope: str
    ) -> None:
        if file.digest != certificate.evidence_digest:
            raise DigestMismatchError("the evidence is not what the certificate rests on")
        check_recordable(connection, certificate)
        certificates.insert_certificate(connection, certificate, file, envelope)
        facts: dict[str, Json] = {"verdict": certificate.verdict.value}
        if certificate.attempt is not None:
            facts["attempt"] = certificate.attempt.to_json()
        self._tell(connection, EventKind.CERTIFICATE_RECORDED, certificate, facts)

    def attempt(self, gallery: str, questions: str, run: str) -> Attempt:
        """Return which attempt on the same queries a certification would be.

        Args:
            gallery: name of the gallery.
            questions: digest of the queries, by id and label, without anybody's vectors.
            run: digest of all that decides the outcome.

        Raises:
            NotFoundError: if there is no such gallery.
        """
        with read(self._context.engine) as connection:
            line = read_state(connection, gallery).line
        return number_attempt(line, questions, run)

    def revoke(self, digest: str, reason: str, *, dry_run: bool = False) -> Certificate:
        """Revoke the certificate whose digest begins so. Nobody is promoted on it any more.

        What was promoted on it goes on serving until it is rolled back.

        Raises:
            NotFoundError: if none or more than one does, or there is no signing key.
            InvalidInputError: if there is no reason.
            ConflictError: if it is revoked already.
        """
        if not reason.strip():
            raise InvalidInputError("a revocation needs a reason", hint='--reason "why"')
        self.check_signer()
        with write(self._context.engine) as connection:
            found = certificates.get_certificate(connection, digest).certificate
            model = found.query_version.model
            versions.model_id(connection, model, lock=True)
            line = events.in_stream(connection, model_stream(model))
            if find_history(line, found.digest).revoked is not None:
                raise ConflictError(f"certificate {found.digest[:12]} is revoked already")
            if not dry_run:
                facts: dict[str, Json] = {"reason": reason.strip()}
                self._tell(connection, EventKind.CERTIFICATE_REVOKED, found, facts)
        return found

    def _tell(
        self,
        connection: Connection,
        kind: EventKind,
        certificate: Certificate,
        facts: dict[str, Json],
    ) -> None:
        payload: dict[str, Json] = {
            "certificate": certificate.digest,
            "gallery": certificate.gallery,
            "query_version": certificate.query_version.number,
            "gallery_version": certificate.gallery_version.number,
            **facts,
        }
        stream = model_stream(certificate.query_version.model)
        self._context.record(connection, stream, kind, payload)

    def get(self, digest: str) -> Certificate:
        """Return the certificate whose digest begins so."""
        with read(self._context.engine) as connection:
            return certificates.get_certificate(connection, digest).certificate

    def evidence(self, digest: str) -> bytes:
        """Return the evidence file of the certificate whose digest begins so.

        Raises:
            NotFoundError: if none or more than one does.
            DigestMismatchError: if it or its evidence was changed.
            CorruptFileError: if the evidence is missing.
        """
        with read(self._context.engine) as connection:
            stored = certificates.get_certificate(connection, digest)
        return read_evidence(self._context, stored)

    def state(self, digest: str) -> CertificateState:
        """Return the certificate whose digest begins so, with what became of it."""
        found = self.get(digest)
        with read(self._context.engine) as connection:
            state = read_state(connection, found.gallery)
            return condition_of(connection, state, found, self._context.clock())

    def of_gallery(self, gallery: str) -> tuple[CertificateState, ...]:
        """Return a gallery's certificates, oldest first, each with its present state."""
        with read(self._context.engine) as connection:
            state = read_state(connection, gallery)
            now = self._context.clock()
            return tuple(
                condition_of(connection, state, found.certificate, now)
                for found in certificates.of_gallery(connection, gallery)
            )

    def verify(self, digest: str) -> Verified:
        """Verify signature, columns, evidence and recording of one certificate.

        Raises:
            NotFoundError: if none or more than one begins so.
            SignatureError: if the signature is wrong, or no key is trusted to verify it with.
            DigestMismatchError: if it or its evidence was changed, or no event recorded it.
            CorruptFileError: if the evidence is missing.
        """
        self._context.trust.check_active()
        with read(self._context.engine) as connection:
            return self._verify(connection, certificates.get_certificate(connection, digest))

    def _verify(self, connection: Connection, stored: StoredCertificate) -> Verified:
        key_id = check_stored(self._context, connection, stored)
        found = stored.certificate
        line = events.in_stream(connection, model_stream(found.query_version.model))
        recorded = find_history(line, found.digest).recorded
        if recorded is None:
            raise DigestMismatchError(
                f"certificate {found.digest[:12]} was slipped into the database: "
                "no event recorded it"
            )
        if key_id is None and recorded.signature is not None:
            raise SignatureError(f"the envelope of certificate {found.digest[:12]} was removed")
        return Verified(found, key_id, stored.envelope)

    def verify_all(self, gallery: str) -> tuple[Verified, ...]:
        """Verify each of a gallery's certificates that is kept, or that an event recorded.

        Without any trusted key everything save the signatures is verified.

        Raises:
            SignatureError: naming all that is wrong, if a signature is among it.
            DigestMismatchError: naming all that is wrong, otherwise.
        """
        found: list[Verified] = []
        wrong: list[SamespaceError] = []
        with read(self._context.engine) as connection:
            for digest in self._digests(connection, gallery):
                try:
                    stored = certificates.get_certificate(connection, digest)
                    found.append(self._verify(connection, stored))
                except SamespaceError as error:
                    wrong.append(error)
        if wrong:
            is_signature = any(isinstance(error, SignatureError) for error in wrong)
            raise (SignatureError if is_signature else DigestMismatchError)(
                "; ".join(dict.fromkeys(str(error) for error in wrong)),
                hint="restore what is named from a backup, or certify again",
            )
        return tuple(found)

    def _digests(self, connection: Connection, gallery: str) -> tuple[str, ...]:
        model = galleries.get_gallery(connection, gallery).model
        recorded = [
            str(event.payload["certificate"])
            for event in events.in_stream(connection, model_stream(model))
            if event.kind is EventKind.CERTIFICATE_RECORDED
            and event.payload.get("gallery") == gallery
        ]
        kept = certificates.digests_of_gallery(connection, gallery)
        return tuple(dict.fromkeys((*kept, *recorded)))
