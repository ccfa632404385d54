"""A certificate as these tests need it."""

from datetime import UTC, datetime, timedelta

from registry.domain.attempts import Attempt
from registry.domain.certificates import Certificate, Control, Finding, Verdict
from registry.domain.contracts import Contract, ContractKind
from registry.domain.policies import Policy
from registry.domain.refs import VersionRef

NOW = datetime(2026, 5, 1, tzinfo=UTC)
CONTRACT = Contract(ContractKind.PREFIX, 8)
CONTROLS = (
    Control("random model", Verdict.INCOMPATIBLE, Verdict.INCOMPATIBLE, 0.01),
    Control("rotated model", Verdict.INCOMPATIBLE, Verdict.INCOMPATIBLE, 0.01),
    Control("old model", Verdict.COMPATIBLE, Verdict.COMPATIBLE, 0.5),
)
BOUNDS = {
    Verdict.COMPATIBLE: (0.05, 0.15),
    Verdict.INCONCLUSIVE: (-0.05, 0.05),
    Verdict.INCOMPATIBLE: (-0.15, -0.05),
}


def make_findings(verdict: Verdict) -> tuple[Finding, ...]:
    """What the default policy asks for, with bounds that say this."""
    low, high = BOUNDS[verdict]
    middle = 0.5 + (low + high) / 2
    return tuple(
        Finding("all", r.metric, r.criterion, r.margin, 0.5, middle, low, high, 200, 40, verdict)
        for r in Policy().requirements
    )


def certificate(verdict: Verdict = Verdict.COMPATIBLE) -> Certificate:
    """A certificate of products@2 on 100 items of products@1."""
    return Certificate(
        gallery="shop",
        query_version=VersionRef("products", 2),
        query_fingerprint="declared:2",
        gallery_version=VersionRef("products", 1),
        gallery_fingerprint="declared:1",
        baseline_version=VersionRef("products", 1),
        contract=CONTRACT,
        metric="cosine",
        verdict=verdict,
        policy=Policy().to_json(),
        findings=make_findings(verdict),
        controls=CONTROLS,
        matrix={"products@1 -> products@1": {"all": {"mAP": 0.5}}},
        n_gallery_items=100,
        gallery_digest="g",
        probe_digest="p",
        evidence_digest="e",
        limits=("one seed",),
        environment={"python": "3.11"},
        issued_at=NOW,
        expires_at=NOW + timedelta(days=90),
        issued_by="tester",
        attempt=Attempt("questions", "run", 1, spent=0.03),
    )
