"""Certificates as people and scripts see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from registry.domain.certificates import Criterion, Verdict
from registry.domain.places import ON_MIXED
from registry.domain.score_metrics import parse_score_metric
from registry.errors import EXIT_GATE_FAILED, EXIT_INCONCLUSIVE

from .leaks import leak_lines, leaked_ids
from .output import short, table
from .sample_sizes import missing_data, missing_lines, plan_data
from .thresholds import operating_data, thresholds

if TYPE_CHECKING:
    from rich.console import RenderableType

    from compat.sample_size import UnitsNeeded
    from compat.workflow.certifying import Certification
    from registry.domain.canonical import Json
    from registry.domain.certificates import Certificate
    from registry.service.standing import CertificateState

_CODES = {
    Verdict.COMPATIBLE: 0,
    Verdict.INCOMPATIBLE: EXIT_GATE_FAILED,
    Verdict.INCONCLUSIVE: EXIT_INCONCLUSIVE,
}


def exit_code(made: Sequence[Certification]) -> int:
    """Return the exit code of the claims that promotion needs: the worst of them decides."""
    verdicts = [m.certificate.verdict for m in made if not m.is_rollback]
    if Verdict.INCOMPATIBLE in verdicts:
        return _CODES[Verdict.INCOMPATIBLE]
    return max(_CODES[verdict] for verdict in verdicts)


def as_data(made: Sequence[Certification], plan: Sequence[UnitsNeeded] = ()) -> dict[str, Json]:
    """Return certificates, and how many units they needed, as JSON values."""
    forward = [m.certificate.verdict for m in made if not m.is_rollback]
    return {
        "verdict": next((v for v in _WORST_FIRST if v in forward), Verdict.COMPATIBLE).value,
        "required_units": plan_data(plan),
        "certificates": [
            {
                "digest": m.certificate.digest if m.is_recorded else None,
                "is_rollback": m.is_rollback,
                "statement": m.certificate.statement,
                "further_units": missing_data(m.missing),
                "operating_points": operating_data(m),
                "leaked": None if m.leaks is None else leaked_ids(m.leaks),
                **m.certificate.to_json(),
            }
            for m in made
        ],
    }


_WORST_FIRST = (Verdict.INCOMPATIBLE, Verdict.INCONCLUSIVE, Verdict.COMPATIBLE)


def shown(made: Sequence[Certification]) -> list[RenderableType]:
    """Return what a person reads: the matrix once, then every certificate."""
    parts: list[RenderableType] = [matrix(made[0].certificate)]
    for one in made:
        certificate = one.certificate
        way = "way back: " if one.is_rollback else ""
        parts += [
            f"{way}{certificate.verdict}",
            certificate.statement,
            _measured_on(certificate),
            _findings(certificate),
            *_too_few(certificate),
            *missing_lines(one.missing),
            *thresholds(one),
            _controls(certificate),
            *leak_lines(one.leaks),
            f"certificate {certificate.digest[:12]}, valid until {certificate.expires_at:%Y-%m-%d}"
            if one.is_recorded
            else "dry run: nothing was recorded",
            "",
        ]
    return parts


def details(certificate: Certificate) -> list[RenderableType]:
    """Return what one certificate says, as a person reads it."""
    return [
        matrix(certificate),
        str(certificate.verdict),
        certificate.statement,
        _measured_on(certificate),
        _findings(certificate),
        *_too_few(certificate),
        _controls(certificate),
    ]


def claim(found: CertificateState) -> dict[str, str]:
    """Return what is said of a certificate in a list, as JSON values."""
    certificate = found.certificate
    return {
        "digest": certificate.digest,
        "gallery": certificate.gallery,
        "query_version": str(certificate.query_version),
        "gallery_version": str(certificate.gallery_version),
        "verdict": certificate.verdict.value,
        "state": found.condition.standing.value,
        "reason": found.condition.reason,
        "expires_at": certificate.expires_at.isoformat(),
    }


def matrix(certificate: Certificate) -> RenderableType:
    """Return the compatibility matrix: every measured cell, by group."""
    names = ("hit@1", "hit@5", "mAP", *_asked_scores(certificate))
    rows = [
        (cell, group, *(_mean(values, name) for name in names))
        for cell, by_group in certificate.matrix.items()
        for group, values in by_group.items()
        if group == "all" or f" -> {ON_MIXED} " not in cell  # the report has all of them
    ]
    columns = ("queries -> gallery", "group", *(f"#{name}" for name in names))
    return table("compatibility matrix, means over queries", columns, rows)


def _asked_scores(certificate: Certificate) -> list[str]:
    """Return the metrics of scores that were measured, each once."""
    measured = {m for by in certificate.matrix.values() for means in by.values() for m in means}
    return sorted(name for name in measured if parse_score_metric(name) is not None)


def _too_few(certificate: Certificate) -> list[str]:
    """Return one line for each group that is undecided because it has too few units."""
    asked = cast("int", certificate.policy.get("min_units", 1))
    few = {f.group: f.n_clusters for f in certificate.findings if f.n_clusters < asked}
    return [
        f"group {group!r} is undecided, whatever its bounds: it has {n_units} independent units, "
        f"and the policy asks for {asked}"
        for group, n_units in few.items()
    ]


def _measured_on(certificate: Certificate) -> str:
    """Return which registered probe set it speaks of; nothing if the questions came from files."""
    said = certificate.probe_set
    return f"probe set {said['name']!r}, {short(str(said['digest']))}" if said else ""


def _mean(values: Mapping[str, float], metric: str) -> str:
    return f"{values[metric]:.4f}" if metric in values else "–"


def _findings(certificate: Certificate) -> RenderableType:
    rows = [
        (
            f.group,
            f.what,
            "> 0" if f.criterion is Criterion.SUPERIORITY else f">= {0 - f.margin:g}",
            f"{f.baseline:.4f}",
            f"{f.candidate:.4f}",
            f"{f.difference:+.4f}",
            f"{f.low:+.4f}, {f.high:+.4f}",
            f"{f.n_queries} / {f.n_clusters}",
            f.verdict,
        )
        for f in certificate.findings
    ]
    columns = (
        "group",
        "metric",
        "required",
        "#before",
        "#after",
        "#difference",
        "#lower, upper bound",
        "#queries / classes",
        "verdict",
    )
    from compat.attempts import level_of

    unit = certificate.policy.get("unit", "class")
    title = (
        f"paired differences, each {certificate.counted} counting once, resampled by {unit}, "
        f"bounds one-sided at {level_of(certificate):.6g}"
    )
    return table(title, columns, rows)


def _controls(certificate: Certificate) -> RenderableType:
    rows = [
        (c.name, f"{c.value:.4f}", c.expected, c.found, "as it should" if c.is_passed else "FAILED")
        for c in certificate.controls
    ]
    columns = ("control", "#value", "must be", "was", "")
    return table("planted controls", columns, rows)
