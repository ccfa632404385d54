"""The planted controls of a certificate, judged from per-query numbers alone.

They show that the gate can say no and can say yes. Measuring is done elsewhere, so that a replay
judges them by the same rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from registry.arrays import Float64Array
from registry.domain.certificates import Control, Verdict
from registry.domain.policies import Policy

from .certification import PairedScores, fewest_units, lenient, try_control
from .leakage import judge_leakage
from .matrix import ByMetric

RANDOM, ROTATED, OLD = "random model", "rotated model", "old model"
SERVED = "served search"


def judge_controls(
    scores: PairedScores,
    planted: Mapping[str, ByMetric],
    served: Float64Array | None,
    policy: Policy,
    leakage: ByMetric | None = None,
) -> tuple[Control, ...]:
    """Judge every control of one pair.

    Args:
        scores: the pair that is certified, and its baseline.
        planted: scores of the candidates `RANDOM`, `ROTATED` and `OLD`.
        served: hit@1 of each query by the search that will serve, if it was tried.
            Shape: (n_queries,).
        policy: the rules.
        leakage: what `leakage.look_for` found of the queries in the training data, if there were
            any.

    Raises:
        KeyError: if one of the three was not planted.
        ValueError: if what was found of leakage is impossible.
    """
    tried = {name: replace(scores, candidate=planted[name]) for name in (RANDOM, ROTATED, OLD)}
    controls = [
        try_control(RANDOM, tried[RANDOM], policy, expected=Verdict.INCOMPATIBLE),
        try_control(ROTATED, tried[ROTATED], policy, expected=Verdict.INCOMPATIBLE),
        _try_old(tried[OLD], policy),
    ]
    if served is not None:
        controls.append(_try_served(served, scores.candidate["hit@1"], policy))
    if leakage is not None:
        controls.append(judge_leakage(leakage, policy))
    return tuple(controls)


def _try_old(scores: PairedScores, policy: Policy) -> Control:
    """Judge the old model, measured once more as the candidate: it must pass."""
    rules = lenient(policy, fewest_units(scores, policy))
    return try_control(OLD, scores, rules, expected=Verdict.COMPATIBLE)


def _try_served(served: Float64Array, exact: Float64Array, policy: Policy) -> Control:
    """Compare hit@1 of the search that will serve with that of the exact search."""
    value = float(served.mean())
    is_close = value >= float(exact.mean()) - policy.control_margin
    verdict = Verdict.COMPATIBLE if is_close else Verdict.INCONCLUSIVE
    return Control(SERVED, Verdict.COMPATIBLE, verdict, value)
