"""Verdicts and certificates: what was claimed, under which rule, resting on what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from .attempts import Attempt, of_attempts
from .calibration import ScoreMap, read_maps
from .canonical import Json, digest_json
from .contracts import Contract
from .places import ON_OLD
from .refs import VersionRef, parse_ref


class Verdict(StrEnum):
    """The outcome of a certification. Abstaining is a value, not an error."""

    COMPATIBLE = "COMPATIBLE"
    INCOMPATIBLE = "INCOMPATIBLE"
    INCONCLUSIVE = "INCONCLUSIVE"

    @property
    def words(self) -> str:
        """What it says of queries and vectors."""
        known = {"COMPATIBLE": "may search", "INCOMPATIBLE": "must not search"}
        return known.get(self, "was not shown fit to search")


class Criterion(StrEnum):
    """What has to be shown of new queries against the baseline."""

    SUPERIORITY = "superiority"
    NON_INFERIORITY = "non-inferiority"


@dataclass(frozen=True, slots=True)
class Finding:
    """One requirement tried on one group of queries.

    Differences are candidate minus baseline, averaged; both bounds are one-sided.

    Attributes:
        group: the queries' group, or ``all``.
        metric: the metric's name.
        criterion: what had to be shown.
        margin: how much worse was accepted.
        baseline: mean of the metric for old queries on old vectors, over what the policy lets
            count once (`Certificate.counted`).
        candidate: the same mean for the pair that is certified.
        low: lower confidence bound of the difference.
        high: upper confidence bound of the difference.
        n_queries: queries in the group.
        n_clusters: independent units (classes or identities) among them.
        verdict: what the bounds say.
        on: what was searched: ``old``, ``served``, or a mixed gallery such as ``mixed 25%``.
    """

    group: str
    metric: str
    criterion: Criterion
    margin: float
    baseline: float
    candidate: float
    low: float
    high: float
    n_queries: int
    n_clusters: int
    verdict: Verdict
    on: str = ON_OLD

    @property
    def what(self) -> str:
        """The metric, and where it was measured unless that is the old vectors."""
        return self.metric if self.on == ON_OLD else f"{self.metric} on {self.on}"

    @property
    def difference(self) -> float:
        """Candidate minus baseline."""
        return self.candidate - self.baseline


@dataclass(frozen=True, slots=True)
class Control:
    """A planted case whose outcome is known beforehand: it shows that the gate can say no.

    Attributes:
        name: such as ``random model``; `conclusions` knows all that there may be.
        expected: the verdict that a working gate gives.
        found: the verdict that it gave.
        value: mean of the first required metric; of ``no leakage`` the share of the queries that
            were found in the training data.
    """

    name: str
    expected: Verdict
    found: Verdict
    value: float

    @property
    def is_passed(self) -> bool:
        """Whether the gate behaved."""
        return self.expected is self.found


@dataclass(frozen=True, slots=True)
class Certificate:
    """An immutable statement about one ordered pair of versions on one gallery.

    Attributes:
        gallery: name of the gallery.
        query_version: the version whose queries are certified.
        query_fingerprint: its space.
        gallery_version: the version that made the vectors that are searched.
        gallery_fingerprint: its space.
        baseline_version: the version whose self-test the pair is held against.
        contract: how the two are compared, as it will be served.
        metric: the gallery's metric.
        verdict: the outcome over all findings and controls.
        policy: the policy, as JSON.
        findings: each requirement in each group.
        controls: the planted controls.
        matrix: metric means over queries by ``query version -> gallery version``, group and metric.
        n_gallery_items: items that were searched.
        gallery_digest: digest of the vectors that were searched.
        probe_digest: digest of queries, labels and groups.
        evidence_digest: SHA-256 of the file of per-query numbers.
        limits: what was not tested, in sentences.
        environment: versions of the software that ran.
        issued_at: when, in UTC.
        expires_at: until when, in UTC.
        issued_by: by whom.
        index: the index that served when it was measured: back end, factory, options and the
            digests of the sealed segments' files.
        n_gallery_rows: rows that were ever stored of the gallery version when it was measured,
            deleted ones included, whether or not their bytes are still there: what is stored later
            was not measured. 0 if the items that were
            measured were embedded for the purpose, as they are for the way back.
        attempt: which attempt on these questions it is; None if it is older than counting.
        probe_set: ``name`` and ``digest`` of the registered probe set; empty if there was none.
        training: the training data in which the queries were looked for: ``digest`` and
            ``n_items``; empty if none were given.
        calibration: by ``query version -> gallery version``, a map onto the baseline's own scores;
            empty if mixed galleries were not measured. Equal maps keep the order of raw scores.
    """

    gallery: str
    query_version: VersionRef
    query_fingerprint: str
    gallery_version: VersionRef
    gallery_fingerprint: str
    baseline_version: VersionRef
    contract: Contract
    metric: str
    verdict: Verdict
    policy: Mapping[str, Json]
    findings: tuple[Finding, ...]
    controls: tuple[Control, ...]
    matrix: Mapping[str, Mapping[str, Mapping[str, float]]]
    n_gallery_items: int
    gallery_digest: str
    probe_digest: str
    evidence_digest: str
    limits: tuple[str, ...]
    environment: Mapping[str, str]
    issued_at: datetime
    expires_at: datetime
    issued_by: str
    index: Mapping[str, Json] = field(default_factory=dict)
    n_gallery_rows: int = 0
    attempt: Attempt | None = None
    probe_set: Mapping[str, Json] = field(default_factory=dict)
    training: Mapping[str, Json] = field(default_factory=dict)
    calibration: Mapping[str, ScoreMap] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The certificate's name: SHA-256 of its canonical JSON."""
        return digest_json(self.to_json())

    @property
    def is_way_back(self) -> bool:
        """Whether it speaks of a rollback: the baseline's queries on other vectors."""
        return self.query_version == self.baseline_version

    @property
    def counted(self) -> str:
        """What counts once in the means of the findings: ``class`` or ``query``."""
        is_by_class = (self.policy.get("average"), self.policy.get("unit")) == ("unit", "class")
        return "class" if is_by_class else "query"

    @property
    def statement(self) -> str:
        """The claim in one sentence."""
        sizes = {f.group: f.n_queries for f in self.findings}
        return (
            f"{self.query_version} {self.verdict.words} the {self.n_gallery_items} items of "
            f"'{self.gallery}' made by {self.gallery_version} ({self.contract}): measured on "
            f"{sizes.get('all', sum(sizes.values()))} queries against "
            f"{self.baseline_version} on its own vectors, "
            f"each {self.counted} counting once, one-sided confidence "
            f"{self.policy['confidence_level']}{of_attempts(self.attempt, self.policy)}"
        )

    def to_json(self) -> dict[str, Json]:
        """Return the certificate as JSON values; format 1.

        What was added to the format later is left out where it is empty, so that a certificate
        that was recorded before keeps its digest.
        """
        later: dict[str, Json] = {
            "index": dict(self.index),
            "n_gallery_rows": self.n_gallery_rows,
            "attempt": None if self.attempt is None else self.attempt.to_json(),
            "probe_set": dict(self.probe_set),
            "training": dict(self.training),
            "calibration": {pair: found.to_json() for pair, found in self.calibration.items()},
        }
        value: dict[str, Json] = {
            "format": 1,
            "gallery": self.gallery,
            "query_version": str(self.query_version),
            "query_fingerprint": self.query_fingerprint,
            "gallery_version": str(self.gallery_version),
            "gallery_fingerprint": self.gallery_fingerprint,
            "baseline_version": str(self.baseline_version),
            "contract": self.contract.to_json(),
            "metric": self.metric,
            "verdict": self.verdict.value,
            "policy": dict(self.policy),
            "findings": [_finding_json(f) for f in self.findings],
            "controls": [_control_json(c) for c in self.controls],
            "matrix": {
                cell: {g: dict(m) for g, m in by.items()} for cell, by in self.matrix.items()
            },
            "n_gallery_items": self.n_gallery_items,
            "gallery_digest": self.gallery_digest,
            "probe_digest": self.probe_digest,
            "evidence_digest": self.evidence_digest,
            "limits": list(self.limits),
            "environment": dict(self.environment),
            "issued_at": self.issued_at.isoformat(),
            "expires_at": self.expires_at.isoformat(),
            "issued_by": self.issued_by,
        }
        return value | {name: given for name, given in later.items() if given}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Certificate:
        """Read what `to_json` wrote."""
        given = {name: value[name] for name in value if name != "format"}
        for name in ("query_version", "gallery_version", "baseline_version"):
            given[name] = _version(given[name])
        given["contract"] = Contract.from_json(given["contract"])
        given["verdict"] = Verdict(given["verdict"])
        given["findings"] = tuple(_finding(f) for f in given["findings"])
        given["controls"] = tuple(_control(c) for c in given["controls"])
        given["limits"] = tuple(given["limits"])
        if "attempt" in given:
            given["attempt"] = Attempt(**given["attempt"])
        if "calibration" in given:
            given["calibration"] = read_maps(given["calibration"])
        for name in ("issued_at", "expires_at"):
            given[name] = datetime.fromisoformat(given[name])
        return cls(**given)


def _finding_json(finding: Finding) -> dict[str, Json]:
    value: dict[str, Json] = {name: getattr(finding, name) for name in Finding.__slots__}
    value |= {"criterion": finding.criterion.value, "verdict": finding.verdict.value}
    return {k: v for k, v in value.items() if k != "on" or v != ON_OLD}


def _finding(value: Mapping[str, Any]) -> Finding:
    enums = {"criterion": Criterion(value["criterion"]), "verdict": Verdict(value["verdict"])}
    return Finding(**{**value, **enums})


def _control_json(control: Control) -> dict[str, Json]:
    return {
        "name": control.name,
        "expected": control.expected.value,
        "found": control.found.value,
        "value": control.value,
    }


def _control(value: Mapping[str, Any]) -> Control:
    enums = {name: Verdict(value[name]) for name in ("expected", "found")}
    return Control(**{**value, **enums})


def _version(text: str) -> VersionRef:
    ref = parse_ref(text)
    if not isinstance(ref, VersionRef):
        raise ValueError(f"{text!r} is not a version")
    return ref
