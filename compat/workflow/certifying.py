"""Certifying a version on a gallery: every pair that promotion, and rollback, will ask for."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version

from compat.attempts import describe_attempt, rules_of
from compat.certification import check_policy, chosen_groups
from compat.controls import SERVED
from compat.evidence import Evidence, write_evidence
from compat.leakage import TrainingItems
from compat.leaks import Leaks, list_leaks
from compat.matrix import matrix_of
from compat.probes import Probe
from compat.sample_size import UnitsMissing, UnitsNeeded, missing_units, plan_units
from compat.scored import OperatingPoint
from registry.domain.attempts import Attempt
from registry.domain.canonical import Json
from registry.domain.certificates import Certificate, Criterion
from registry.domain.conclusions import LEAKAGE
from registry.domain.liveness import describe_index
from registry.domain.places import ON_MIXED, ON_OLD
from registry.domain.policies import Policy
from registry.domain.refs import VersionRef
from registry.errors import InvalidInputError
from registry.service import Registry

from .attempts import count_attempt
from .bench import Bench, Measured
from .items import check_judgements
from .limits import describe_small, find_limits
from .measuring import check_pair, measure
from .pairs import Study, top_depth, units_of
from .probe_sets import check_registered, describe_set
from .scores import check_scores, operating_points, scored_cells
from .trained_on import look_into_training


@dataclass(frozen=True, slots=True)
class Certification:
    """One certificate that was made.

    Attributes:
        certificate: the certificate.
        is_rollback: whether it certifies the way back: old queries on the new version's vectors.
        is_recorded: whether the registry holds it.
        evidence: the file of per-query numbers that it rests on.
        missing: for each finding that is inconclusive, how many more units would show it.
        operating_points: thresholds of each cell, if the policy asks of scores.
        leaks: which queries are in the training data, or None if none were given.
    """

    certificate: Certificate
    is_rollback: bool
    is_recorded: bool
    evidence: bytes = field(repr=False)
    missing: tuple[UnitsMissing, ...] = ()
    operating_points: Mapping[str, tuple[OperatingPoint, ...]] = field(default_factory=dict)
    leaks: Leaks | None = None


def certify(  # noqa: PLR0913 -- what is certified, on what, by which rules, and two named settings
    registry: Registry,
    gallery: str,
    candidate: str | VersionRef,
    probe: Probe,
    policy: Policy | None = None,
    *,
    training: TrainingItems | None = None,
    dry_run: bool = False,
    on_plan: Callable[[tuple[UnitsNeeded, ...]], None] | None = None,
) -> tuple[Certification, ...]:
    """Certify a version as query version of a gallery, against every version it holds.

    With `probe.reembedded` at hand, the way back is certified as well: queries of the version in
    force on the candidate's vectors, which is what a rollback will need.

    Args:
        registry: an open registry.
        gallery: name of the gallery.
        candidate: the version that shall query it.
        probe: labelled queries, embedded by the candidate and by every version in the gallery.
        policy: the rules; the default one asks for a better mAP and a hit@1 that is not worse by
            more than 0.02, at one-sided confidence 0.95.
        training: what the candidate was trained on: the queries are looked for in it, and those of
            classes that it was trained on are told apart from others. Without it the classes are
            those of the candidate's training record, if it has one.
        dry_run: measure and conclude, but record nothing.
        on_plan: called before anything is measured with how many units each requirement takes.

    Returns:
        A certificate for every pair, whatever its verdict; those of the way back last.

    Raises:
        UndeclaredComparisonError: if nobody declared how a pair is compared.
        InvalidInputError: if the probe lacks vectors or labels, is not the registered set that it
            says, or the policy cannot be followed.
        SpaceMismatchError: if the probe's vectors are of another space than they say.
        NotFoundError: if there is no signing key.
    """
    if not dry_run:
        registry.certificates.check_signer()
    stated = policy or Policy()
    check_policy(stated)
    check_registered(gallery, probe)
    new = registry.models.get(candidate)
    probe, trained = look_into_training(registry, new, probe, training, stated)
    attempt = count_attempt(registry, gallery, new, probe, stated, trained.named)
    rules = rules_of(stated, attempt)
    bench = Bench(registry, gallery, probe, rules, trained)
    held = [ref for ref in registry.galleries.get(gallery).versions() if ref != new.ref]
    if not held:
        raise InvalidInputError(
            f"gallery {gallery!r} holds no vectors of another version than {new.ref}",
            hint="there is nothing to certify: promote it",
        )
    for ref in held:
        check_pair(bench, registry.models.get(ref), new)
    check_judgements(registry, gallery, probe.queries)
    _check_places(rules, probe)
    for ref in held:
        _check_own_encoder(registry, new.ref, ref, rules)
        check_scores(bench, registry.models.get(ref))
    if on_plan is not None:
        on_plan(plan_units(rules, units_of(probe, rules), chosen_groups(probe.queries, rules)))
    found = [measure(bench, registry.models.get(ref), new) for ref in held]
    studies = [(m, m.forward) for m in found] + [(m, m.back) for m in found if m.back is not None]
    said = _Said(stated, attempt)
    return tuple(_issue(bench, m, study, said, dry_run=dry_run) for m, study in studies)


def _check_places(policy: Policy, probe: Probe) -> None:
    if policy.asks(ON_MIXED) and probe.reembedded is None:
        raise InvalidInputError(
            "the policy requires something of mixed galleries, but no re-embedded items were given",
            hint="give the gallery's items embedded by the candidate: --reembedded or "
            "--gallery-data; or drop what is required on = 'mixed'",
        )
    chosen_groups(probe.queries, policy)


def _check_own_encoder(registry: Registry, new: VersionRef, old: VersionRef, rules: Policy) -> None:
    """Refuse a policy that says nothing where the old vectors' own queries search them."""
    contract = registry.models.contract(new, old)
    if contract is None or not contract.has_own_encoder:
        return
    better = any(
        rule.on == ON_OLD and rule.criterion is Criterion.SUPERIORITY for rule in rules.requirements
    )
    if better or not rules.asks(ON_MIXED):
        raise InvalidInputError(
            f"queries of {old} itself search its vectors for {new}: nothing can be better there, "
            "and only mixed galleries say anything",
            hint="take a policy with non-inferiority on the old vectors and with a requirement "
            "on = 'mixed'",
        )


@dataclass(frozen=True, slots=True)
class _Said:
    """What a certificate says of its rules: as the user gave them, and which attempt it is."""

    policy: Policy
    attempt: Attempt


def _issue(
    bench: Bench, measured: Measured, study: Study, said: _Said, *, dry_run: bool
) -> Certification:
    data, digest = write_evidence(_evidence(bench, measured, study), measured.item_ids)
    certificate = _certificate(bench, measured, study, said, digest)
    if not dry_run:
        bench.registry.certificates.record(certificate, data, since=measured.since)
    is_back, recorded = study is measured.back, not dry_run
    missing = missing_units(study.scores, study.findings, bench.policy)
    points = operating_points(bench, measured)
    return Certification(certificate, is_back, recorded, data, missing, points, _leaks(bench))


def _leaks(bench: Bench) -> Leaks | None:
    found = bench.trained.leakage
    if found is None:
        return None
    return list_leaks(bench.probe.queries.ids, found, bench.policy.near_duplicate)


def _evidence(bench: Bench, measured: Measured, study: Study) -> Evidence:
    planted = dict(study.planted)
    if study.served is not None:
        planted[SERVED] = {"hit@1": study.served}
    if bench.trained.leakage is not None:
        planted[LEAKAGE] = bench.trained.leakage
    return Evidence(
        asked=bench.probe.queries,
        units=study.scores[ON_OLD].clusters,
        n_relevant=study.measured.n_relevant,
        cells=measured.by_metric,
        planted=planted,
        top={
            cell: s.top.first(top_depth(bench.policy))
            for cell, s in measured.cells.items()
            if s.top is not None
        },
        scored=scored_cells(bench, measured),
    )


def _certificate(
    bench: Bench, measured: Measured, study: Study, said: _Said, evidence_digest: str
) -> Certificate:
    now = bench.registry.now()
    pair, models = study.pair, bench.registry.models
    stored = [s for s in measured.gallery.segments if s.version == pair.gallery_version]
    is_of_stored = study is measured.forward  # the way back searches re-embedded items
    return Certificate(
        gallery=bench.gallery,
        query_version=pair.query_version,
        query_fingerprint=models.get(pair.query_version).fingerprint,
        gallery_version=pair.gallery_version,
        gallery_fingerprint=models.get(pair.gallery_version).fingerprint,
        baseline_version=pair.baseline_version,
        contract=pair.contract,
        metric=pair.metric.value,
        verdict=study.verdict,
        policy=said.policy.to_json(),
        findings=study.findings,
        controls=study.controls,
        matrix=matrix_of(measured.by_metric, bench.probe.queries),
        n_gallery_items=len(measured.item_ids),
        gallery_digest=measured.gallery_digest,
        probe_digest=bench.probe.digest,
        evidence_digest=evidence_digest,
        limits=_limits(bench, measured, study, said),
        environment=_environment(),
        issued_at=now,
        expires_at=now + timedelta(days=bench.policy.valid_days),
        issued_by=bench.registry.actor,
        index=describe_index(measured.gallery, pair.gallery_version),
        n_gallery_rows=sum(s.n_ever for s in stored) if is_of_stored else 0,
        attempt=said.attempt,
        calibration=study.calibration,
        probe_set={} if bench.probe.probe_set is None else bench.probe.probe_set.named,
        training=bench.trained.named,
    )


def _limits(bench: Bench, measured: Measured, study: Study, said: _Said) -> tuple[str, ...]:
    return (
        describe_attempt(said.policy, said.attempt),
        *describe_set(bench.probe),
        *find_limits(bench, measured, study),
        *describe_small(study, bench.policy.min_units),
    )


def _environment() -> dict[str, str]:
    found: dict[str, Json] = {"python": platform.python_version(), "platform": platform.platform()}
    for name in ("samespace", "numpy", "faiss-cpu", "torch"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return {name: str(value) for name, value in found.items()}
