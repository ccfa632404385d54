"""From confidence bounds and planted controls to a verdict: the rule that a certificate follows.

Measuring is done elsewhere; the rule stands here, because a certificate that does not follow it is
refused when it is recorded, whoever made it.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import InvalidInputError
from .attempts import UNCOUNTED
from .certificates import Certificate, Control, Criterion, Finding, Verdict
from .policies import Policy

# Groups by whether the candidate was trained on a query's class. Where other groups were declared,
# they stand in the matrix only: requirements are tried in the declared ones.
SEEN, UNSEEN = "seen classes", "unseen classes"
LEAKAGE = "no leakage"  # the control whose value is the share of queries in the training data


def decide(low: float, high: float, *, criterion: Criterion, margin: float) -> Verdict:
    """Return what the bounds of candidate minus baseline show. The point estimate has no say.

    Superiority asks for a difference above 0, non-inferiority for one not below ``-margin``.
    COMPATIBLE if the lower bound shows it, INCOMPATIBLE if the upper bound excludes it, each with
    the bounds' confidence; otherwise INCONCLUSIVE.

    Args:
        low: one-sided lower confidence bound of the mean difference.
        high: one-sided upper confidence bound of it.
        criterion: what has to be shown.
        margin: how much worse is still accepted, in units of the metric; 0 for superiority.

    Raises:
        ValueError: if the margin is negative or NaN, or is not 0 for superiority.
    """
    if not margin >= 0:
        raise ValueError(f"margin must be at least 0 but got {margin}")
    if criterion is Criterion.SUPERIORITY:
        if margin != 0:
            raise ValueError(f"superiority has no margin: it must be 0 but got {margin}")
        is_shown, is_excluded = low > 0, high <= 0
    else:
        is_shown, is_excluded = low >= -margin, high < -margin
    if is_shown:
        return Verdict.COMPATIBLE
    return Verdict.INCOMPATIBLE if is_excluded else Verdict.INCONCLUSIVE


def decide_finding(finding: Finding, min_units: int) -> Verdict:
    """Return what a finding shows: what its bounds say, unless too few units stand behind them.

    Raises:
        ValueError: if the margin is negative or NaN, or is not 0 for superiority.
    """
    shown = decide(finding.low, finding.high, criterion=finding.criterion, margin=finding.margin)
    return shown if finding.n_clusters >= min_units else Verdict.INCONCLUSIVE


def decide_leakage(share: float, max_leaked: float) -> Verdict:
    """Return what a share of queries that are in the training data leaves of a measurement."""
    return Verdict.COMPATIBLE if share <= max_leaked else Verdict.INCONCLUSIVE


def combine(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict on all claims together: an intersection-union test [1].

    COMPATIBLE if all are, INCOMPATIBLE if any is, otherwise INCONCLUSIVE. COMPATIBLE keeps the
    level of the single claims without a correction, because all of them must be shown.
    INCOMPATIBLE does not: among m claims that hold, some may be refuted by chance with up to m
    times the error of one. It errs on the side of not promoting.

    Raises:
        ValueError: if there is no verdict.

    References:
        [1] Berger, "Multiparameter hypothesis testing and acceptance sampling", Technometrics
            24(4), 1982.
    """
    found = set(verdicts)
    if not found:
        raise ValueError("at least one verdict is needed but got none")
    if Verdict.INCOMPATIBLE in found:
        return Verdict.INCOMPATIBLE
    return Verdict.COMPATIBLE if found == {Verdict.COMPATIBLE} else Verdict.INCONCLUSIVE


def conclude(findings: Iterable[Finding], controls: Iterable[Control]) -> Verdict:
    """Return the verdict: that of the findings, if every control behaved.

    Raises:
        ValueError: if there is no finding.
    """
    combined = combine(finding.verdict for finding in findings)
    return combined if all(c.is_passed for c in controls) else Verdict.INCONCLUSIVE


def check_conclusion(certificate: Certificate) -> None:
    """Refuse a certificate that says more than its own findings and controls do.

    Every requirement of its policy must have been tried in every group of its matrix, every
    verdict must follow from its bounds and its number of units, the gate must have been seen to say
    no and to say yes, and leakage must have been judged if there were training data.

    Raises:
        InvalidInputError: naming the first thing that does not follow.
    """
    try:
        problem = _problem(certificate) or _leakage_problem(certificate)
    except ValueError as error:  # a margin or a policy that no certification would take
        problem = str(error)
    if problem:
        raise InvalidInputError(
            f"the certificate of {certificate.query_version} on {certificate.gallery_version} "
            f"does not hold together: {problem}",
            hint="make certificates with compat.certify or samespace certify",
        )


def _problem(certificate: Certificate) -> str | None:
    if not certificate.findings:
        return "it has no findings"
    policy = Policy.recorded(certificate.policy)
    for finding in certificate.findings:
        if decide_finding(finding, policy.min_units) != finding.verdict:
            return f"the bounds of {finding.what} in {finding.group!r} say something else"
    found = certificate.verdict
    tried = {(control.name, control.expected) for control in certificate.controls}
    reasons = (
        (
            _tried(certificate) != _required(certificate, policy),
            "its findings are not the requirements of its policy, each in each group",
        ),
        (
            certificate.attempt is None and policy.attempts != UNCOUNTED,
            "its policy counts attempts, but it does not say which attempt it is",
        ),
        (
            not tried >= _REQUIRED or not tried <= _REQUIRED | _OPTIONAL,
            "its controls do not show that the gate can say no and can say yes",
        ),
        (
            len(tried) < len(certificate.controls),
            "a control stands there twice",
        ),
        (
            any("all" not in by_group for by_group in certificate.matrix.values()),
            "its matrix leaves out all queries together",
        ),
        (_is_beyond_plan(certificate, policy), "its attempt is not among those that were planned"),
        (
            conclude(certificate.findings, certificate.controls) != found,
            f"its findings and controls do not make it {found}",
        ),
    )
    return next((why for is_wrong, why in reasons if is_wrong), None)


def _leakage_problem(certificate: Certificate) -> str | None:
    limit = Policy.recorded(certificate.policy).max_leaked
    judged = [control for control in certificate.controls if control.name == LEAKAGE]
    if len(judged) != bool(certificate.training):
        return f"training data and the control {LEAKAGE!r} go together"
    if any(decide_leakage(control.value, limit) != control.found for control in judged):
        return f"its policy and the control {LEAKAGE!r} say something else"
    return None


def _is_beyond_plan(certificate: Certificate, policy: Policy) -> bool:
    attempt = certificate.attempt
    if attempt is None or policy.attempts == UNCOUNTED:
        return False
    error = 1 - policy.confidence_level
    is_paid = 0 <= attempt.spent <= error - attempt.spent_before + 1e-9
    return not (1 <= attempt.number <= (policy.planned_attempts or attempt.number) and is_paid)


_REQUIRED = {
    ("random model", Verdict.INCOMPATIBLE),
    ("rotated model", Verdict.INCOMPATIBLE),
    ("old model", Verdict.COMPATIBLE),
}
_OPTIONAL = {("served search", Verdict.COMPATIBLE), (LEAKAGE, Verdict.COMPATIBLE)}
_Claim = tuple[str, str, str, float, str]


def _tried(certificate: Certificate) -> list[_Claim]:
    return sorted(
        (f.group, f.metric, f.criterion.value, f.margin, f.on) for f in certificate.findings
    )


def _required(certificate: Certificate, policy: Policy) -> list[_Claim]:
    claims = [
        (rule.metric, rule.criterion.value, rule.margin, place)
        for rule in policy.requirements
        for place in policy.places(rule, is_way_back=certificate.is_way_back)
    ]
    groups = _groups(certificate) if policy.groups is None else set(policy.groups)
    return sorted((group, *claim) for group in groups for claim in claims)


def _groups(certificate: Certificate) -> set[str]:
    """Return the groups that requirements are tried in.

    Declared ones; else those by what was trained on; else all queries as one.
    """
    measured = {group for cell in certificate.matrix.values() for group in cell}
    parts = measured - {"all"}
    return parts - {SEEN, UNSEEN} or parts or measured
