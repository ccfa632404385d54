"""Use cases of certificates: recording them, and asking which still hold."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from ..db import certificates, events, galleries, versions
from ..db.session import Connection, read
from ..domain.canonical import Json
from ..domain.certificates import Certificate
from ..domain.conclusions import check_conclusion
from ..domain.contracts import Contract
from ..domain.events import EventKind, model_stream
from ..domain.galleries import Metric, StoredFile
from ..domain.liveness import find_staleness
from ..domain.refs import VersionRef
from ..errors import (
    CorruptFileError,
    DigestMismatchError,
    InvalidInputError,
    SpaceMismatchError,
    StorageError,
    UndeclaredComparisonError,
)
from ..galleries import storage
from .context import Context, write_naming
from .views import GalleryState, read_state


@dataclass(frozen=True, slots=True)
class CertificateState:
    """A certificate and, if it no longer holds, why."""

    certificate: Certificate
    staleness: str | None


class Certificates:
    """Certificates of all galleries."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def record(self, certificate: Certificate, evidence: bytes) -> str:
        """Record a certificate with its evidence file and return its digest.

        Raises:
            InvalidInputError: if a version is not of the gallery's model line, or it claims more
                than its findings and controls say.
            SpaceMismatchError: if a fingerprint or the metric is not the registered one.
            UndeclaredComparisonError: if the pair has no contract, or another one.
            DigestMismatchError: if the evidence is not what the certificate rests on.
            AlreadyExistsError: if it is recorded already.
        """
        check_conclusion(certificate)
        relative = f"certificates/{certificate.gallery}/{uuid.uuid4().hex}.parquet"
        file = storage.write_bytes(self._context.storage, relative, evidence)
        with write_naming(self._context, file) as connection:
            self._insert(connection, certificate, file)
        return certificate.digest

    def _insert(self, connection: Connection, certificate: Certificate, file: StoredFile) -> None:
        if file.digest != certificate.evidence_digest:
            raise DigestMismatchError("the evidence is not what the certificate rests on")
        gallery = galleries.get_gallery(connection, certificate.gallery)
        model = gallery.model
        versions.model_id(connection, model, lock=True)
        _check_line(model, certificate)
        declared = _contract(connection, certificate.query_version, certificate.gallery_version)
        if declared != certificate.contract:
            raise UndeclaredComparisonError(
                f"the certificate compares by '{certificate.contract}', "
                f"but declared is '{declared}'"
            )
        _check_spaces(connection, gallery.metric, certificate)
        certificates.insert_certificate(connection, certificate, file)
        payload: dict[str, Json] = {
            "certificate": certificate.digest,
            "gallery": certificate.gallery,
            "query_version": certificate.query_version.number,
            "gallery_version": certificate.gallery_version.number,
            "verdict": certificate.verdict.value,
        }
        stream = model_stream(model)
        self._context.record(connection, stream, EventKind.CERTIFICATE_RECORDED, payload)

    def get(self, digest: str) -> Certificate:
        """Return the certificate whose digest begins so."""
        with read(self._context.engine) as connection:
            return certificates.get_certificate(connection, digest)

    def of_gallery(self, gallery: str) -> tuple[CertificateState, ...]:
        """Return a gallery's certificates, oldest first, each with its present state."""
        with read(self._context.engine) as connection:
            state = read_state(connection, gallery)
            now = self._context.clock()
            return tuple(
                CertificateState(found, staleness(connection, state, found, now))
                for found in certificates.of_gallery(connection, gallery)
            )

    def evidence(self, digest: str) -> bytes:
        """Return the evidence file of the certificate whose digest begins so.

        Raises:
            NotFoundError: if none or more than one begins so.
            DigestMismatchError: if the certificate or the file is not what was recorded.
            CorruptFileError: if the file is missing.
        """
        with read(self._context.engine) as connection:
            found = certificates.get_certificate(connection, digest)
            paths = certificates.evidence_paths(connection, found.gallery)
        relative = paths[found.digest]
        return storage.read_digested(self._context.storage, relative, found.evidence_digest)

    def verify_files(self, gallery: str) -> int:
        """Compare each certificate and its evidence with their digests; return how many there are.

        Raises:
            DigestMismatchError: naming all of them that are not what was recorded, or are missing.
        """
        with read(self._context.engine) as connection:
            paths = certificates.evidence_paths(connection, gallery)
        damage = []
        for digest, relative in paths.items():
            try:
                evidence_digest = self.get(digest).evidence_digest
                storage.verify_digest(self._context.storage, relative, evidence_digest)
            except (DigestMismatchError, CorruptFileError, StorageError) as error:
                damage.append(str(error))
        if damage:
            raise DigestMismatchError(
                "; ".join(damage), hint="restore what is named from a backup, or certify again"
            )
        return len(paths)


def staleness(
    connection: Connection, state: GalleryState, certificate: Certificate, now: datetime
) -> str | None:
    """Return why a certificate does not hold now, or None if it does."""
    pair = (
        state.versions[certificate.query_version.number],
        state.versions[certificate.gallery_version.number],
    )
    return find_staleness(
        certificate,
        query_version=pair[0],
        gallery_version=pair[1],
        contract=versions.get_contract(connection, *pair),
        gallery=state.gallery,
        now=now,
    )


def find_live(
    connection: Connection,
    state: GalleryState,
    query: VersionRef,
    gallery_version: VersionRef,
    now: datetime,
) -> tuple[Certificate | None, str]:
    """Return the newest certificate that lets one version search another's vectors.

    What was recorded last speaks for the pair: an old COMPATIBLE one does not outlive a later
    refusal. Only certificates that the chain of events names count, so one that was slipped into
    the table proves nothing.

    Returns:
        The certificate, or None with the reason why there is none.
    """
    pair = {"query_version": query.number, "gallery_version": gallery_version.number}
    recorded = [
        event.payload
        for event in events.in_stream(connection, model_stream(query.model))
        if event.kind is EventKind.CERTIFICATE_RECORDED
        and event.payload.items() >= {"gallery": state.gallery.name, **pair}.items()
    ]
    if not recorded:
        return None, "it was never certified"
    found = certificates.get_certificate(connection, str(recorded[-1]["certificate"]))
    why = staleness(connection, state, found, now)
    return (found, "") if why is None else (None, why)


def _check_line(model: str, certificate: Certificate) -> None:
    for ref in (certificate.query_version, certificate.gallery_version):
        if ref.model != model:
            raise InvalidInputError(
                f"gallery {certificate.gallery!r} is embedded by {model!r}, "
                f"so a certificate of {ref} says nothing of it"
            )


def _check_spaces(connection: Connection, metric: Metric, certificate: Certificate) -> None:
    if certificate.metric != metric.value:
        raise SpaceMismatchError(
            f"the certificate was measured by {certificate.metric}, "
            f"but gallery {certificate.gallery!r} is searched by {metric}"
        )
    for ref, said in (
        (certificate.query_version, certificate.query_fingerprint),
        (certificate.gallery_version, certificate.gallery_fingerprint),
    ):
        found = versions.get_version(connection, ref).fingerprint
        if said != found:
            raise SpaceMismatchError(
                f"the certificate speaks of {ref} as {said[:19]}…, but it is {found[:19]}…"
            )


def _contract(connection: Connection, query: VersionRef, gallery: VersionRef) -> Contract | None:
    pair = (versions.get_version(connection, query), versions.get_version(connection, gallery))
    return versions.get_contract(connection, *pair)
