"""Certifying again and again with the same queries."""

from __future__ import annotations

from dataclasses import replace

import pytest

from compat.evidence import read_evidence
from compat.probes import Probe
from compat.replay import replay
from compat.workflow import certifying
from compat.workflow.bench import Bench, Measured
from compat.workflow.certifying import Certification, certify
from compat.workflow.measuring import measure
from registry import ModelVersion
from registry.domain.attempts import Attempt
from registry.domain.certificates import Certificate
from registry.domain.policies import Policy
from registry.errors import ConflictError, InvalidInputError
from tests.compat.workflow.builders import POLICY, World


def made(
    world: World, policy: Policy = POLICY, *, dry_run: bool = False, probe: Probe | None = None
) -> Certification:
    asked = probe or world.probe()
    return certify(world.registry, "shop", "products@2", asked, policy, dry_run=dry_run)[0]


def number(certificate: Certificate) -> int:
    assert certificate.attempt is not None
    return certificate.attempt.number


def test_another_policy_is_another_attempt_and_is_decided_at_a_higher_level(world: World) -> None:
    probe, rules = world.probe(), replace(POLICY, n_resamples=5000)
    first = made(world, rules, probe=probe).certificate
    second = made(world, replace(rules, valid_days=7), probe=probe).certificate
    assert [number(first), number(second)] == [1, 2]
    for one, other in zip(first.findings, second.findings, strict=True):
        assert other.low < one.low
        assert other.high > one.high
    assert "of which it is number 2" in second.statement


def test_the_very_same_run_again_is_the_same_attempt(world: World) -> None:
    probe = world.probe()
    first, again = (made(world, probe=probe).certificate for _ in range(2))
    assert number(first) == number(again) == 1
    assert first.findings == again.findings


def test_both_ways_of_one_certification_are_one_attempt(world: World) -> None:
    probe = world.probe(again=True)
    found = certify(world.registry, "shop", "products@2", probe, POLICY)
    assert [number(one.certificate) for one in found] == [1, 1]
    assert number(made(world, replace(POLICY, seed=1)).certificate) == 2


def test_a_dry_run_says_which_attempt_it_would_be_and_does_not_count(world: World) -> None:
    assert number(made(world, dry_run=True).certificate) == 1
    assert number(made(world, replace(POLICY, seed=1), dry_run=True).certificate) == 1
    assert number(made(world).certificate) == 1


def test_beyond_the_plan_nothing_is_measured(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = replace(POLICY, planned_attempts=1)
    assert number(made(world, planned).certificate) == 1
    monkeypatch.setattr(certifying, "measure", None)
    with pytest.raises(InvalidInputError, match="these queries are used up"):
        made(world, replace(planned, seed=1))


def test_an_attempt_that_was_recorded_meanwhile_is_not_passed_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [replace(POLICY, seed=1)]

    def slow(bench: Bench, old: ModelVersion, new: ModelVersion) -> Measured:
        if others:
            made(world, others.pop())
        return measure(bench, old, new)

    monkeypatch.setattr(certifying, "measure", slow)
    with pytest.raises(ConflictError, match="says attempt 1 on these queries, but it is attempt 2"):
        made(world)
    assert number(made(world).certificate) == 2


def test_a_later_attempt_is_replayed_at_its_own_level(world: World) -> None:
    made(world)
    second = made(world, replace(POLICY, seed=1))
    certificate = second.certificate
    evidence = read_evidence(second.evidence, certificate.evidence_digest, "it")
    assert replay(certificate, evidence).is_same
    assert certificate.attempt is not None
    cheaper = replace(certificate, attempt=replace(certificate.attempt, number=1))
    assert "mAP in all), high" in str(replay(cheaper, evidence).difference)
    elsewhere = replace(certificate, attempt=Attempt("others", certificate.attempt.run, 2))
    assert str(replay(elsewhere, evidence).difference).startswith("attempt: the evidence is of")
