"""Certifying a version on a gallery: every pair that promotion, and rollback, will ask for."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version

from compat.cells import own_positions
from compat.certification import check_policy
from compat.controls import SERVED
from compat.evidence import Evidence, write_evidence
from compat.integrity import describe_probe
from compat.leakage import TrainingItems
from compat.leaks import Leaks, list_leaks
from compat.matrix import MIXED, ByMetric, cell_name, matrix_of
from compat.probes import Probe
from compat.sample_size import UnitsMissing, UnitsNeeded, missing_units, plan_units
from registry.domain.canonical import Json
from registry.domain.certificates import Certificate
from registry.domain.conclusions import LEAKAGE
from registry.domain.liveness import describe_index
from registry.domain.policies import Policy
from registry.domain.refs import VersionRef
from registry.errors import InvalidInputError
from registry.service import Registry

from .measuring import Bench, Measured, check_judgements, check_pair, measure
from .pairs import Study, units_of
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
        leaks: which queries are in the training data, or None if none were given.
    """

    certificate: Certificate
    is_rollback: bool
    is_recorded: bool
    evidence: bytes = field(repr=False)
    missing: tuple[UnitsMissing, ...] = ()
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
        InvalidInputError: if the probe lacks vectors or labels, or the policy cannot be followed.
        SpaceMismatchError: if the probe's vectors are of another space than they say.
        NotFoundError: if there is no signing key.
    """
    if not dry_run:
        registry.certificates.check_signer()
    rules = policy or Policy()
    check_policy(rules)
    new = registry.models.get(candidate)
    probe, trained = look_into_training(registry, new, probe, training, rules)
    bench = Bench(registry, gallery, probe, rules, trained)
    held = [ref for ref in registry.galleries.get(gallery).versions() if ref != new.ref]
    if not held:
        raise InvalidInputError(
            f"gallery {gallery!r} holds no vectors of another version than {new.ref}",
            hint="there is nothing to certify: promote it",
        )
    for ref in held:
        check_pair(bench, registry.models.get(ref), new)
    check_judgements(bench)
    if on_plan is not None:
        on_plan(plan_units(rules, units_of(probe, rules), probe.groups))
    found = [measure(bench, registry.models.get(ref), new) for ref in held]
    studies = [(m, m.forward) for m in found] + [(m, m.back) for m in found if m.back is not None]
    return tuple(_issue(bench, m, study, dry_run=dry_run) for m, study in studies)


def _issue(bench: Bench, measured: Measured, study: Study, *, dry_run: bool) -> Certification:
    data, digest = write_evidence(_evidence(bench, measured, study), measured.item_ids)
    certificate = _certificate(bench, measured, study, digest)
    if not dry_run:
        bench.registry.certificates.record(certificate, data)
    is_back, recorded = study is measured.back, not dry_run
    missing = missing_units(study.scores, study.findings, bench.policy)
    return Certification(certificate, is_back, recorded, data, missing, _leaks(bench))


def _leaks(bench: Bench) -> Leaks | None:
    found = bench.trained.leakage
    if found is None:
        return None
    return list_leaks(bench.probe.queries.ids, found, bench.policy.near_duplicate)


def _evidence(bench: Bench, measured: Measured, study: Study) -> Evidence:
    planted: dict[str, ByMetric] = {name: scores.by_name for name, scores in study.planted.items()}
    if study.served is not None:
        planted[SERVED] = {"hit@1": study.served}
    if bench.trained.leakage is not None:
        planted[LEAKAGE] = bench.trained.leakage
    return Evidence(
        asked=bench.probe.queries,
        units=study.scores.clusters,
        n_relevant=study.scores.baseline.n_relevant,
        cells=measured.by_metric,
        planted=planted,
        top={cell: s.top for cell, s in measured.cells.items() if s.top is not None},
    )


def _certificate(
    bench: Bench, measured: Measured, study: Study, evidence_digest: str
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
        policy=bench.policy.to_json(),
        findings=study.findings,
        controls=study.controls,
        matrix=matrix_of(measured.by_metric, bench.probe.queries),
        n_gallery_items=len(measured.item_ids),
        gallery_digest=measured.gallery_digest,
        probe_digest=bench.probe.digest,
        evidence_digest=evidence_digest,
        limits=_limits(bench, measured) + _too_small(study, bench.policy.min_units),
        environment=_environment(),
        issued_at=now,
        expires_at=now + timedelta(days=bench.policy.valid_days),
        issued_by=bench.registry.actor,
        index=describe_index(measured.gallery, pair.gallery_version),
        n_gallery_rows=sum(s.n_rows for s in stored) if is_of_stored else 0,
        training=bench.trained.named,
    )


def _limits(bench: Bench, measured: Measured) -> tuple[str, ...]:
    spec = bench.registry.galleries.get(bench.gallery).index
    found = [
        "The bounds speak of other queries of the same population on this gallery.",
        "Each version is one training run; variation over seeds was not measured.",
        "Earlier attempts on the same probe set were not counted: many attempts pass by chance.",
        "Scores and thresholds were not certified, only rankings.",
        "That rows of query vectors and of labels belong together was taken on trust.",
        "Metrics are of exact search, which the gallery's own search is."
        if spec.is_exact
        else "Metrics are of exact search; what the gallery's own index finds stands beside it: "
        f"'served: {spec.backend} {spec.factory}'.",
    ]
    if bench.policy.average == "unit" and not measured.forward.scores.is_balanced:
        found.append(
            "Classes differ in how many queries they have: findings and bounds are means over "
            "classes, each counting once, the matrix holds means over queries."
        )
    if bench.policy.largest_unit is not None:
        found.append(
            f"That no class has more than {bench.policy.largest_unit} queries is the policy's word."
        )
    if bench.probe.queries.qrels is not None:
        found.append(
            "Relevance is by judgements (qrels): what was not judged counts as not relevant, and "
            "the unit of resampling is the query."
        )
    found += [*bench.trained.limits, *_probe_limits(bench.probe, measured)]
    found.append(_mixed_limit(measured))
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


def _mixed_limit(measured: Measured) -> str:
    """Return a sentence on the worst moment of a partial backfill."""
    means = {cell: float(s.average_precision.mean()) for cell, s in measured.cells.items()}
    mixed = [cell for cell in means if f"-> {MIXED} " in cell]
    if not mixed:
        return (
            "Mixed galleries, as a partial backfill leaves them, were not measured: no re-embedded "
            "items were given."
        )
    lowest, baseline = min(mixed, key=means.__getitem__), measured.forward.pair.baseline_version
    before = means[cell_name(baseline, baseline)]
    return (
        f"Of mixed galleries, scores merged as they are, {lowest!r} has the lowest mAP: "
        f"{means[lowest]:.4f}, where {baseline} on its own vectors has {before:.4f}. "
        "That is a measurement, not a claim with a bound."
    )


def _environment() -> dict[str, str]:
    found: dict[str, Json] = {"python": platform.python_version(), "platform": platform.platform()}
    for name in ("samespace", "numpy", "faiss-cpu", "torch"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return {name: str(value) for name, value in found.items()}
