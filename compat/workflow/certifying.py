"""Certifying a version on a gallery: every pair that promotion, and rollback, will ask for."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version

from compat.attempts import describe_attempt, rules_of
from compat.cells import own_positions
from compat.certification import check_policy, chosen_groups
from compat.controls import SERVED
from compat.evidence import Evidence, write_evidence
from compat.integrity import describe_probe
from compat.matrix import matrix_of
from compat.probes import Probe
from compat.sample_size import UnitsMissing, UnitsNeeded, missing_units, plan_units
from registry.domain.attempts import Attempt
from registry.domain.canonical import Json
from registry.domain.certificates import ON_MIXED, ON_OLD, Certificate, Criterion
from registry.domain.liveness import describe_index
from registry.domain.policies import BCA, Policy
from registry.domain.refs import VersionRef
from registry.errors import InvalidInputError
from registry.service import Registry

from .attempts import count_attempt
from .items import check_judgements
from .measuring import Bench, Measured, check_pair, measure
from .merging import describe_mixed
from .pairs import Study, top_depth, units_of


@dataclass(frozen=True, slots=True)
class Certification:
    """One certificate that was made.

    Attributes:
        certificate: the certificate.
        is_rollback: whether it certifies the way back: old queries on the new version's vectors.
        is_recorded: whether the registry holds it.
        evidence: the file of per-query numbers that it rests on.
        missing: for each finding that is inconclusive, how many more units would show it.
    """

    certificate: Certificate
    is_rollback: bool
    is_recorded: bool
    evidence: bytes = field(repr=False)
    missing: tuple[UnitsMissing, ...] = ()


def certify(  # noqa: PLR0913 -- what is certified, on what, by which rules, and two named settings
    registry: Registry,
    gallery: str,
    candidate: str | VersionRef,
    probe: Probe,
    policy: Policy | None = None,
    *,
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
        dry_run: measure and conclude, but record nothing.
        on_plan: called before anything is measured with how many units each requirement takes.

    Returns:
        A certificate for every pair, whatever its verdict; those of the way back last.

    Raises:
        UndeclaredComparisonError: if nobody declared how a pair is compared.
        InvalidInputError: if the probe lacks vectors or labels, or the policy cannot be followed.
        SpaceMismatchError: if the probe's vectors are of another space than they say.
        NotFoundError: if there is no signing key.
    """
    if not dry_run:
        registry.certificates.check_signer()
    stated = policy or Policy()
    check_policy(stated)
    new = registry.models.get(candidate)
    attempt = count_attempt(registry, gallery, new, probe, stated)
    rules = rules_of(stated, attempt)
    bench = Bench(registry, gallery, probe, rules)
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
    if on_plan is not None:
        on_plan(plan_units(rules, units_of(probe, rules), probe.groups))
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
    chosen_groups(probe.groups, policy, len(probe.queries.ids))


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
        bench.registry.certificates.record(certificate, data)
    is_back, recorded = study is measured.back, not dry_run
    missing = missing_units(study.scores, study.findings, bench.policy)
    return Certification(certificate, is_back, recorded, data, missing)


def _evidence(bench: Bench, measured: Measured, study: Study) -> Evidence:
    planted = dict(study.planted)
    if study.served is not None:
        planted[SERVED] = {"hit@1": study.served}
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
        limits=(
            describe_attempt(said.policy, said.attempt),
            *_limits(bench, measured, study),
            *_too_small(study, bench.policy.min_units),
        ),
        environment=_environment(),
        issued_at=now,
        expires_at=now + timedelta(days=bench.policy.valid_days),
        issued_by=bench.registry.actor,
        index=describe_index(measured.gallery, pair.gallery_version),
        n_gallery_rows=sum(s.n_rows for s in stored) if is_of_stored else 0,
        attempt=said.attempt,
        calibration=study.calibration,
    )


def _limits(bench: Bench, measured: Measured, study: Study) -> tuple[str, ...]:
    spec = bench.registry.galleries.get(bench.gallery).index
    found = [
        "The bounds speak of other queries of the same population on this gallery.",
        "Each version is one training run; variation over seeds was not measured.",
        "Scores and thresholds were not certified, only rankings.",
        "That rows of query vectors and of labels belong together was taken on trust.",
        "Metrics are of exact search, which the gallery's own search is."
        if spec.is_exact
        else "Metrics are of exact search; what the gallery's own index finds stands beside it: "
        f"'served: {spec.backend} {spec.factory}'.",
    ]
    if bench.policy.average == "unit" and not measured.forward.scores[ON_OLD].is_balanced:
        found.append(
            "Classes differ in how many queries they have: findings and bounds are means over "
            "classes, each counting once, the matrix holds means over queries."
        )
    if bench.policy.largest_unit is not None:
        found.append(
            f"That no class has more than {bench.policy.largest_unit} queries is the policy's word."
        )
    if bench.policy.bound == BCA:
        found.append(
            "The bounds are those of the BCa bootstrap, which is approximate, and too sure of "
            "itself where losses are rare or units are few."
        )
    if bench.probe.queries.qrels is not None:
        found.append(
            "Relevance is by judgements (qrels): what was not judged counts as not relevant, and "
            "the unit of resampling is the query."
        )
    found += _probe_limits(bench.probe, measured)
    found += describe_mixed(study, measured.cells, bench.policy)
    if measured.back is None:
        found.append(
            "The way back (old queries on new vectors) and the new self-test were not measured: "
            "no re-embedded items were given, or the old version is not the one in force."
        )
    return tuple(found)


def _too_small(study: Study, min_units: int) -> tuple[str, ...]:
    few = {f.group: f.n_clusters for f in study.findings if f.n_clusters < min_units}
    return tuple(
        f"Group {group!r} has {n_units} independent units, fewer than the {min_units} that the "
        "policy asks for: it is INCONCLUSIVE, whatever its bounds."
        for group, n_units in few.items()
    )


def _probe_limits(probe: Probe, measured: Measured) -> tuple[str, ...]:
    asked, pair = probe.queries, measured.forward.pair
    queries = [probe.vectors_of(ref) for ref in (pair.query_version, pair.baseline_version)]
    if asked.qrels is not None:
        return describe_probe(queries, 0)
    among = own_positions(asked.ids, measured.item_ids) >= 0
    return describe_probe(queries, int(among.sum()))


def _environment() -> dict[str, str]:
    found: dict[str, Json] = {"python": platform.python_version(), "platform": platform.platform()}
    for name in ("samespace", "numpy", "faiss-cpu", "torch"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return {name: str(value) for name, value in found.items()}
