from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from compat.evidence import Evidence, read_evidence
from compat.replay import replay
from compat.workflow.certifying import certify
from registry import Registry
from registry.domain.canonical import canonical_json
from registry.domain.certificates import Certificate
from registry.errors import InvalidInputError
from tests.compat.workflow.builders import N_QUERIES, POLICY, make_world

CROSS = "products@2 -> products@1"
Made = tuple[Certificate, Evidence]


def evidence_of(registry: Registry, certificate: Certificate) -> Evidence:
    data = registry.certificates.evidence(certificate.digest)
    return read_evidence(data, certificate.evidence_digest, "it")


@pytest.fixture
def made(registry: Registry) -> Made:
    """A certificate with groups, on string labels, with its evidence."""
    world = make_world(registry)
    probe = world.probe(groups=np.arange(N_QUERIES) // 40)
    certificate = certify(registry, "shop", "products@2", probe, POLICY)[0].certificate
    return certificate, evidence_of(registry, certificate)


def test_every_certificate_of_a_run_is_replayed_byte_for_byte(registry: Registry) -> None:
    world = make_world(registry)
    for policy in (POLICY, replace(POLICY, unit="query", seed=7)):
        certified = certify(registry, "shop", "products@2", world.probe(again=True), policy)
        assert len(certified) == 2
        for one in certified:
            found = replay(one.certificate, evidence_of(registry, one.certificate))
            assert (found.difference, found.is_same) == (None, True)
            again = canonical_json(found.certificate.to_json())
            assert again == canonical_json(one.certificate.to_json())


def forged_findings(certificate: Certificate) -> Certificate:
    """The bounds a little better; the verdict still follows from them."""
    first = certificate.findings[0]
    better = replace(first, low=first.low + 0.001, high=first.high + 0.001)
    return replace(certificate, findings=(better, *certificate.findings[1:]))


def forged_control(certificate: Certificate) -> Certificate:
    first, *others = certificate.controls
    return replace(certificate, controls=(replace(first, value=0.0), *others))


def forged_matrix(certificate: Certificate) -> Certificate:
    cell = {**certificate.matrix[CROSS], "all": {"mAP": 1.0}}
    return replace(certificate, matrix={**certificate.matrix, CROSS: cell})


def no_served_search(certificate: Certificate) -> Certificate:
    return replace(certificate, controls=certificate.controls[:-1])


@pytest.mark.parametrize(
    ("forge", "said"),
    [
        (forged_findings, "findings, 1 (mAP in 0), high: the certificate says"),
        (forged_control, "controls, 1 (random model), value: the certificate says 0.0"),
        (forged_matrix, f"matrix, {CROSS}, all, guaranteed@1: only the evidence has it"),
        (no_served_search, "controls, 4 (served search): only the evidence has it"),
    ],
)
def test_what_was_forged_is_named(
    made: Made, forge: Callable[[Certificate], Certificate], said: str
) -> None:
    certificate, evidence = made
    found = replay(forge(certificate), evidence)
    assert not found.is_same
    assert found.difference is not None
    assert found.difference.startswith(said)


def test_one_number_of_one_query_is_enough_to_differ(made: Made) -> None:
    certificate, evidence = made
    values = evidence.cells[CROSS]["mAP"].copy()
    values[0] += 1e-6 if values[0] < 0.5 else -1e-6
    cells = {**evidence.cells, CROSS: {**evidence.cells[CROSS], "mAP": values}}
    found = replay(certificate, replace(evidence, cells=cells))
    assert found.difference is not None
    assert found.difference.startswith("findings, 1 (mAP in 0), candidate: the certificate says")


def test_other_units_than_the_policys_are_named(made: Made) -> None:
    certificate, evidence = made
    found = replay(certificate, replace(evidence, units=np.arange(N_QUERIES)))
    assert found.difference is not None
    assert found.difference.startswith("units: the policy resamples each class")


def test_evidence_that_lacks_something_is_refused(made: Made) -> None:
    certificate, evidence = made
    for lacking, name in (
        (replace(evidence, cells={}), "'products@1 -> products@1'"),
        (replace(evidence, planted={}), "'random model'"),
    ):
        with pytest.raises(InvalidInputError, match=f"no numbers of {name}"):
            replay(certificate, lacking)
    empty = {**evidence.cells[CROSS], "mAP": np.full(N_QUERIES, np.nan)}
    with pytest.raises(InvalidInputError, match="cannot be judged: differences must be finite"):
        replay(certificate, replace(evidence, cells={**evidence.cells, CROSS: empty}))
