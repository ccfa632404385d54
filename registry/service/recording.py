"""What a certificate must agree with before it is recorded."""

from __future__ import annotations

from ..db import events, galleries, probes, versions
from ..db.session import Connection
from ..domain.attempts import number_attempt
from ..domain.certificates import Certificate
from ..domain.events import model_stream
from ..domain.galleries import Metric
from ..domain.probe_redactions import find_probe_redactions, last_of, since_measured
from ..errors import ConflictError, InvalidInputError, SpaceMismatchError, UndeclaredComparisonError
from .probe_contents import line_of
from .views import read_state


def check_recordable(connection: Connection, certificate: Certificate) -> None:
    """Refuse a certificate of other versions, spaces or contracts than are registered.

    It holds the model line until the transaction ends.

    Raises:
        InvalidInputError: if a version is not of the gallery's model line, or the probe set that
            it names is another than the registered one.
        UndeclaredComparisonError: if the pair has no contract, or another one.
        SpaceMismatchError: if a fingerprint or the metric is not the registered one.
        NotFoundError: if it names a probe set that is not registered.
        ConflictError: if it says another number of attempt than the events do, or items were erased
            from the probe set that it names.
    """
    gallery = galleries.get_gallery(connection, certificate.gallery)
    versions.model_id(connection, gallery.model, lock=True)
    _check_line(gallery.model, certificate)
    pair = (
        versions.get_version(connection, certificate.query_version),
        versions.get_version(connection, certificate.gallery_version),
    )
    declared = versions.get_contract(connection, *pair)
    if declared != certificate.contract:
        raise UndeclaredComparisonError(
            f"the certificate compares by '{certificate.contract}', but declared is '{declared}'"
        )
    _check_spaces(connection, gallery.metric, certificate)
    _check_baseline(connection, certificate)
    _check_probe_set(connection, certificate)
    _check_attempt(connection, gallery.model, certificate)


def _check_line(model: str, certificate: Certificate) -> None:
    for ref in (certificate.query_version, certificate.gallery_version):
        if ref.model != model:
            raise InvalidInputError(
                f"gallery {certificate.gallery!r} is embedded by {model!r}, "
                f"so a certificate of {ref} says nothing of it"
            )


def _check_probe_set(connection: Connection, certificate: Certificate) -> None:
    if not certificate.probe_set:
        return
    name = str(certificate.probe_set.get("name"))
    registered = probes.get_set(connection, name)
    steps = find_probe_redactions(line_of(connection, registered.gallery), registered)
    if since_measured(steps, certificate):
        raise ConflictError(
            f"items were erased from probe set {name!r} since it was read", hint="certify again"
        )
    found = last_of(registered, steps)
    attempt = certificate.attempt
    is_that = found.named == certificate.probe_set and found.gallery == certificate.gallery
    if not is_that or attempt is None or attempt.questions != found.facts.questions:
        raise InvalidInputError(
            f"the certificate says it was measured on probe set {name!r}, but on gallery "
            f"{certificate.gallery!r} that name is registered for other questions, or for none"
        )


def _check_baseline(connection: Connection, certificate: Certificate) -> None:
    """Refuse a certificate that is held against anything but what it would replace."""
    pair = (certificate.query_version, certificate.gallery_version)
    baseline = certificate.baseline_version
    if baseline == certificate.gallery_version:
        return
    in_force = read_state(connection, certificate.gallery).query_version.ref
    if not baseline == certificate.query_version == in_force:
        raise InvalidInputError(
            f"a certificate of {pair[0]} on vectors of {pair[1]} is held against {pair[1]} on its "
            f"own vectors, or on the way back against {in_force}, but not against {baseline}",
            hint="make certificates with compat.certify or samespace certify",
        )


def _check_attempt(connection: Connection, model: str, certificate: Certificate) -> None:
    said = certificate.attempt
    if said is None:
        return
    line = events.in_stream(connection, model_stream(model))
    found = number_attempt(line, said.questions, said.run)
    if not found.is_at(said):
        raise ConflictError(
            f"the certificate says attempt {said.number} on these queries, but it is attempt "
            f"{found.number}: another certification on them was recorded meanwhile",
            hint="certify again",
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
