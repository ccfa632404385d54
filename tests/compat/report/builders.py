"""Certificates with evidence that fits them, made without measuring anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from compat.evaluation.operating_points import ErrorCurve
from compat.evaluation.ranking import RankingScores
from compat.evidence import Evidence
from compat.probes import Labels
from compat.report import Entry, Report, backfill_curves, roc_curves
from compat.scored import OperatingPoint, ScoredCell
from registry.arrays import Float64Array, Int64Array
from registry.domain.certificates import Certificate, Control, Finding, Verdict
from registry.domain.conclusions import conclude, decide
from registry.domain.contracts import Contract, ContractKind
from registry.domain.policies import Policy
from registry.domain.refs import VersionRef

OLD, NEW = VersionRef("products", 1), VersionRef("products", 2)
NOW = datetime(2026, 5, 3, 12, tzinfo=UTC)
N_CLASSES, EACH = 40, 5
N = N_CLASSES * EACH
METRICS = ("mAP", "hit@1", "recall@10")
POLICY = Policy()
HOSTILE = "<script>alert(1)</script>|`*_[x](javascript:y)\"'&\x07\u202e"


def cell(query: VersionRef, gallery: VersionRef) -> str:
    return f"{query} -> {gallery}"


def scores(rng: np.random.Generator, level: float) -> RankingScores:
    """Per-query numbers whose means are near `level`."""
    precision = np.clip(rng.normal(level, 0.25, N), 0, 1)
    hit = (rng.random(N) < level).astype(np.float64)
    return RankingScores(
        precision, {1: hit}, {10: np.clip(precision + 0.1, 0, 1)}, np.ones(N, np.int64)
    )


def make_evidence(
    levels: Mapping[str, float], *, label: str = "class", groups: bool = True
) -> Evidence:
    rng = np.random.default_rng(5)
    of_class = np.repeat(np.arange(N_CLASSES), EACH)
    asked = Labels(
        np.array([f"{label}-query-{row}" for row in range(N)]),
        np.array([f"{label}-{c}" for c in of_class]),
        np.where(of_class % 2, "seen", "unseen") if groups else None,
    )
    cells = {name: scores(rng, level).by_name for name, level in levels.items()}
    return Evidence(asked, asked.labels, np.ones(N, np.int64), cells, {})


def make_finding(
    evidence: Evidence, pair: tuple[str, str], group: str, metric: str, half_width: float
) -> Finding:
    rows = evidence.rows()[group]
    before, after = (evidence.cells[c][metric][rows].mean() for c in pair)
    rule = next(r for r in POLICY.requirements if r.metric == metric)
    low, high = float(after - before - half_width), float(after - before + half_width)
    verdict = decide(low, high, criterion=rule.criterion, margin=rule.margin)
    numbers = (float(before), float(after), low, high, len(rows), N_CLASSES // 2)
    return Finding(group, metric, rule.criterion, rule.margin, *numbers, verdict)


def make_controls() -> tuple[Control, ...]:
    no, yes = Verdict.INCOMPATIBLE, Verdict.COMPATIBLE
    named = (("random model", no), ("rotated model", no), ("old model", yes))
    return tuple(Control(name, found, found, 0.25) for name, found in named)


def make_entry(
    levels: Mapping[str, float],
    query: VersionRef = NEW,
    gallery: VersionRef = OLD,
    *,
    half_width: float = 0.02,
    label: str = "class",
    groups: bool = True,
) -> Entry:
    evidence = make_evidence(levels, label=label, groups=groups)
    pair = (cell(OLD, OLD), cell(query, gallery))
    named = [name for name in evidence.rows() if name != "all"] or ["all"]
    findings = tuple(
        make_finding(evidence, pair, group, rule.metric, half_width)
        for rule in POLICY.requirements
        for group in named
    )
    controls = make_controls()
    certificate = Certificate(
        gallery="shop",
        query_version=query,
        query_fingerprint="sha256:" + "a" * 64,
        gallery_version=gallery,
        gallery_fingerprint="sha256:" + "b" * 64,
        baseline_version=OLD,
        contract=Contract(ContractKind.PREFIX, 64),
        metric="cosine",
        verdict=conclude(findings, controls),
        policy=POLICY.to_json(),
        findings=findings,
        controls=controls,
        matrix=means(evidence),
        n_gallery_items=3256,
        gallery_digest="c" * 64,
        probe_digest="d" * 64,
        evidence_digest="e" * 64,
        limits=("Each version is one training run.", "Only rankings were certified."),
        environment={"python": "3.11.9", "samespace": "0.1.0", "numpy": "2.4.6"},
        issued_at=NOW,
        expires_at=NOW + timedelta(days=90),
        issued_by="alice",
        index={"backend": "faiss", "factory": "Flat"},
        n_gallery_rows=3256 if query is NEW else 0,
    )
    return Entry(certificate, evidence)


def means(evidence: Evidence) -> dict[str, dict[str, dict[str, float]]]:
    def of(values: Mapping[str, Float64Array], rows: Int64Array) -> dict[str, float]:
        return {metric: float(found[rows].mean()) for metric, found in values.items()}

    return {
        name: {group: of(values, rows) for group, rows in evidence.rows().items()}
        for name, values in evidence.cells.items()
    }


GOOD = {cell(OLD, OLD): 0.45, cell(NEW, OLD): 0.62, cell(NEW, NEW): 0.8, cell(OLD, NEW): 0.35}
BAD = {**GOOD, cell(NEW, OLD): 0.05}


def make_scored(rng: np.random.Generator, shift: float) -> ScoredCell:
    """Genuine scores around 0.6 and impostors around 0.3, both shifted."""
    genuine, impostor = (rng.normal(mean + shift, 0.1, N).astype(np.float32) for mean in (0.6, 0.3))
    thresholds = np.linspace(1, 0, 21, dtype=np.float32)
    rates = [float((impostor >= t).mean()) for t in thresholds]
    missed = [float((genuine < t).mean()) for t in thresholds]
    points = (
        OperatingPoint("FAR=0.1", 0.43 + shift, (0.42, 0.44), 0.11),
        OperatingPoint("score=0.45", 0.45, (), 0.1 + shift),
    )
    return ScoredCell(
        genuine, impostor, points, ErrorCurve(thresholds, np.array(rates), np.array(missed))
    )


def scored_report(*, label: str = "class") -> Report:
    """A version whose scores are higher, with mixed galleries and a guarantee."""
    mixed = {f"{NEW} -> mixed {share}%": 0.62 + share / 500 for share in (25, 50, 75)}
    entry = make_entry({**GOOD, **mixed}, label=label)
    rng = np.random.default_rng(9)
    scored = {cell(OLD, OLD): make_scored(rng, 0.0), cell(NEW, OLD): make_scored(rng, 0.05)}
    matrix = {
        name: {g: dict(m) for g, m in by.items()} for name, by in means(entry.evidence).items()
    }
    matrix[cell(NEW, OLD)]["all"]["guaranteed@1"] = 0.25
    made = replace(entry.certificate, matrix=matrix)
    entry = Entry(made, replace(entry.evidence, scored=scored))
    return Report((entry,), NOW, roc=roc_curves([entry]), backfill=backfill_curves([entry]))


def good_report(*, label: str = "class") -> Report:
    """A version that is compatible, while the way back is not."""
    back = make_entry(GOOD, OLD, NEW, label=label)
    return Report((make_entry(GOOD, label=label), back), NOW)


def bad_report() -> Report:
    return Report((make_entry(BAD),), NOW)


def open_report() -> Report:
    """Bounds so wide that nothing is shown."""
    return Report((make_entry(GOOD, half_width=0.5),), NOW)


def hostile_report() -> Report:
    """Everything that comes from outside holds markup."""
    entry = make_entry(GOOD, label=HOSTILE)
    made = entry.certificate
    findings = tuple(replace(f, group=HOSTILE) for f in made.findings)
    controls = tuple(replace(c, name=HOSTILE) for c in made.controls)
    hostile = replace(
        made,
        gallery=HOSTILE,
        findings=findings,
        controls=controls,
        matrix={name: {HOSTILE: by["all"]} for name, by in made.matrix.items()},
        limits=(HOSTILE,),
        environment={HOSTILE: HOSTILE},
        policy={**made.policy, HOSTILE: HOSTILE},
        index={HOSTILE: HOSTILE},
        query_fingerprint=HOSTILE,
        gallery_digest=HOSTILE,
        probe_digest=HOSTILE,
        issued_by=HOSTILE,
    )
    return Report((replace(entry, certificate=hostile, staleness=HOSTILE),), NOW)
