"""What a verdict means, in plain words."""

from __future__ import annotations

from typing import NamedTuple, cast

from compat.score_support import rounded_up
from compat.stats.thresholds import smallest_supported_rate
from registry.domain.certificates import Certificate, Control, Finding, Verdict
from registry.domain.score_metrics import parse_score_metric

from .contents import Entry, Report
from .text import required, signed


class Meaning(NamedTuple):
    """What a verdict allows, and what it does not."""

    allows: str
    denies: str


_DENIES = {
    Verdict.COMPATIBLE: "It does not speak of other queries than those of the same population, "
    "of other galleries, of {thresholds}, or of anything under 'What was not tested'.",
    Verdict.INCOMPATIBLE: "It may not be promoted. The loss is not a matter of chance: the "
    "confidence bound excludes what the policy asks for.",
    Verdict.INCONCLUSIVE: "It may not be promoted. Nothing was shown either way: neither that it "
    "is good enough nor that it is not. More labelled queries of more classes may decide it.",
}


def title(report: Report) -> str:
    """Return the question that the report answers."""
    first = report.claims[0].certificate
    return f"May {first.query_version} search the vectors of {_held(report)} in '{first.gallery}'?"


def meaning(report: Report) -> Meaning:
    """Return what the verdict allows and what it does not."""
    first = report.claims[0].certificate
    where = f"the vectors that {_held(report)} made"
    allows = {
        Verdict.COMPATIBLE: f"Queries embedded by {first.query_version} may search {where}, "
        "without embedding the gallery again, until it expires or an input changes.",
        Verdict.INCOMPATIBLE: f"Nothing: queries embedded by {first.query_version} find less in "
        f"{where} than the policy accepts.",
        Verdict.INCONCLUSIVE: f"Nothing yet: whether queries embedded by {first.query_version} "
        f"may search {where} was not decided.",
    }
    denies = _DENIES[report.verdict].format(thresholds=_thresholds(report))
    if report.verdict is Verdict.INCONCLUSIVE and failed_controls(report):
        denies = (
            "It may not be promoted. A control misbehaved, so the measurement itself cannot be "
            "relied on: mend that first."
        )
    return Meaning(allows[report.verdict], denies)


def _thresholds(report: Report) -> str:
    metrics = (metric for entry in report.claims for metric in entry.metrics)
    is_any = any(parse_score_metric(metric) is not None for metric in metrics)
    return "score thresholds other than those under 'Findings'" if is_any else "score thresholds"


def roc_note(report: Report) -> str:
    """Say how to read verification curves, and from where on they are a picture only."""
    first = report.entries[0]
    n_units = len(set(first.evidence.units.tolist()))
    level = float(cast("float", first.certificate.policy["confidence_level"]))
    return (
        "The share of genuine pairs that match (TAR), over the share of impostor pairs that do "
        f"(FAR), at every threshold, over all pairs. {n_units} independent units confirm no FAR "
        f"below {rounded_up(smallest_supported_rate(n_units, level)):g}: left of it the curve is a "
        "picture, not evidence."
    )


def failed_controls(report: Report) -> tuple[Control, ...]:
    """Return the controls of what promotion needs that did not do as they must."""
    return tuple(
        control
        for entry in report.claims
        for control in entry.certificate.controls
        if not control.is_passed
    )


def heading(entry: Entry) -> str:
    """Return what an entry is about."""
    made = entry.certificate
    way = "Way back: queries" if entry.is_rollback else "Queries"
    return f"{way} of {made.query_version} on vectors of {made.gallery_version}"


def leakage(entry: Entry) -> str:
    """Say how many queries are in the training data."""
    return "not checked" if entry.leaks is None else f"{entry.leaks}"


def worst(certificate: Certificate) -> Finding:
    """Return the finding whose lower bound has the least room above what is required."""
    return min(certificate.findings, key=lambda f: f.low + f.margin)


def worst_sentence(certificate: Certificate) -> str:
    """Say how the requirement came out that is met with the least to spare, or missed by most."""
    found = worst(certificate)
    where = "over all queries" if found.group == "all" else f"in group '{found.group}'"
    return (
        f"Tightest: {found.what} {where}. By its bounds the difference is at least "
        f"{signed(found.low)} and at most {signed(found.high)}; required is {required(found)}."
    )


def _held(report: Report) -> str:
    return " and ".join(str(entry.certificate.gallery_version) for entry in report.claims)
