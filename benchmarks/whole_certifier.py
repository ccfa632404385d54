"""How often the whole certifier passes what it must not: groups, requirements, controls, attempts.

`false_certification` tries the bound and the rule. This goes through all that happens after
measuring: per-query numbers of two groups, superiority in mAP and no loss beyond a margin in hit@1,
each class counting once, the planted controls, the verdict over all of them, and the error that
attempts share. One claim in one group is exactly at the boundary of what must not pass, all others
hold with room to spare, so that nothing but this claim can stop a false certificate.

* one attempt: at most alpha may pass, whatever number of units, sizes, margin and shape.
* five attempts on the same queries, each with a candidate at the boundary: at most alpha of such
  families may contain a certificate. Uncounted attempts are shown beside it.
* power: no claim is at the boundary, hit@1 does not change at all in the mean. Beside it the power
  of the test that knows the variance and is asked a single question.

Usage: python -m benchmarks.whole_certifier [--trials 1000] [--units 30 100 300]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict, dataclass
from itertools import product
from typing import TypedDict

import numpy as np

from benchmarks.certification_worlds import World, draw, make_world
from benchmarks.false_certification import ALPHA, best_power
from benchmarks.measuring import report
from compat.attempts import rules_of
from compat.certification import PairedScores, find
from compat.controls import OLD, RANDOM, ROTATED, judge_controls
from compat.stats.binomial import rate_bounds
from registry.domain.attempts import UNCOUNTED, UNTIL_PASSED, Attempt
from registry.domain.certificates import Criterion, Verdict
from registry.domain.conclusions import combine, conclude
from registry.domain.policies import Policy
from registry.domain.requirements import Requirement

SHAPES = ("binary", "ternary", "skewed")
QUERIES_EACH = {
    "fixed": ((20,), (1.0,)),
    "skewed": ((1, 2, 5, 20, 50), (0.4, 0.3, 0.2, 0.07, 0.03)),
}
ATTEMPTS = 5
HOLDS = 0.3  # the gain of every claim that is not at its boundary


@dataclass(frozen=True)
class Setting:
    """What is tried: classes in each of two groups, their sizes, the margin and the truth."""

    margin: float
    shape: str
    sizes: str
    n_units: int


class Rates(TypedDict):
    """How often a certificate was given in one setting, and where more often than alpha."""

    margin: float
    shape: str
    sizes: str
    n_units: int
    rate: dict[str, float]
    exceeds: list[str]


def scores_of(setting: Setting, world: World, rng: np.random.Generator) -> PairedScores:
    """Draw the numbers of one candidate; group b holds every claim, group a is of that world."""
    n_units = setting.n_units
    choices, shares = QUERIES_EACH[setting.sizes]
    counts = rng.choice(choices, size=2 * n_units, p=shares)
    classes = np.repeat(np.arange(2 * n_units), counts)
    differences = draw(world, 1, n_units, rng)[0][0]
    before = np.where(differences < 0, 1.0, np.where(differences == 1.0, 0.0, 0.5))
    before = np.r_[before, np.full(n_units, 0.5)][classes]
    change = np.r_[differences, np.full(n_units, HOLDS)][classes]
    half = np.full(len(classes), 0.5)
    is_a = classes < n_units
    return PairedScores(
        {"mAP": half, "hit@1": before},
        {"mAP": half + HOLDS, "hit@1": np.clip(before + change, 0.0, 1.0)},
        classes,
        {"a": np.flatnonzero(is_a), "b": np.flatnonzero(~is_a)},
    )


def verdict_of(scores: PairedScores, policy: Policy, number: int) -> Verdict:
    """Certify a candidate as the attempt of that number, controls and all."""
    rules = rules_of(policy, Attempt("questions", str(number), number))
    found = find(scores, rules)
    if combine(finding.verdict for finding in found) is not Verdict.COMPATIBLE:
        return Verdict.INCONCLUSIVE  # or worse: the controls can take a verdict, never give one
    nothing = {name: np.zeros(len(scores.clusters)) for name in scores.baseline}
    planted = {RANDOM: nothing, ROTATED: nothing, OLD: scores.baseline}
    return conclude(found, judge_controls(scores, planted, None, rules))


def policy_of(setting: Setting, n_resamples: int, attempts: str) -> Policy:
    """Return the rules: each class counts once, two claims in two groups."""
    claims = (
        Requirement("mAP", Criterion.SUPERIORITY),
        Requirement("hit@1", Criterion.NON_INFERIORITY, setting.margin),
    )
    return Policy(claims, n_resamples=n_resamples, attempts=attempts)


def count_false(setting: Setting, options: argparse.Namespace, seed: int) -> dict[str, int]:
    """Return how many trials hold a certificate of a candidate at the boundary."""
    world = make_world(setting.shape, "single", -setting.margin, may_gain=False)
    rng = np.random.default_rng(seed)
    counted, uncounted = (
        policy_of(setting, options.resamples, how) for how in (UNTIL_PASSED, UNCOUNTED)
    )
    found = {"one": 0, "five counted": 0, "five uncounted": 0}
    for _ in range(options.trials):
        tried = [scores_of(setting, world, rng) for _ in range(ATTEMPTS)]
        verdicts = [verdict_of(one, uncounted, 1) for one in tried]
        found["one"] += verdicts[0] is Verdict.COMPATIBLE
        # a counted attempt is stricter than an uncounted one: only what passed need be tried again
        passed = [number for number, v in enumerate(verdicts, 1) if v is Verdict.COMPATIBLE]
        found["five uncounted"] += bool(passed)
        found["five counted"] += any(
            verdict_of(tried[number - 1], counted, number) is Verdict.COMPATIBLE
            for number in passed
        )
    return found


def false_rates(options: argparse.Namespace) -> list[Rates]:
    """Return the rates at the boundary; `exceeds` where the 99 % bound is above alpha."""
    rows: list[Rates] = []
    for seed, values in enumerate(product(options.margins, SHAPES, QUERIES_EACH, options.units)):
        setting = Setting(*values)
        counts = count_false(setting, options, seed)
        rates = {
            name: rate_bounds(count, options.trials, confidence_level=0.99)
            for name, count in counts.items()
        }
        rows.append(
            Rates(
                margin=setting.margin,
                shape=setting.shape,
                sizes=setting.sizes,
                n_units=setting.n_units,
                rate={name: round(rate.estimate, 4) for name, rate in rates.items()},
                exceeds=[name for name, rate in rates.items() if rate.low > ALPHA],
            )
        )
    return rows


def powers(options: argparse.Namespace) -> list[dict[str, object]]:
    """Return how often a candidate passes that neither gains nor loses in group a."""
    rows: list[dict[str, object]] = []
    for seed, values in enumerate(product(options.margins, SHAPES, ("fixed",), options.units)):
        setting = Setting(*values)
        world = make_world(setting.shape, "single", 0.0, may_gain=False)
        rng = np.random.default_rng(10_000 + seed)
        policies = {
            "uncounted": policy_of(setting, options.resamples, UNCOUNTED),
            "first of many": policy_of(setting, options.resamples, UNTIL_PASSED),
        }
        n_shown = dict.fromkeys(policies, 0)
        for _ in range(options.trials):
            scores = scores_of(setting, world, rng)
            for name, policy in policies.items():
                n_shown[name] += verdict_of(scores, policy, 1) is Verdict.COMPATIBLE
        rows.append(
            asdict(setting)
            | {
                "power": {name: round(n / options.trials, 4) for name, n in n_shown.items()},
                "best": round(best_power(world, setting.margin, setting.n_units, rng), 4),
            }
        )
    return rows


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1_000)
    parser.add_argument("--resamples", type=int, default=4_000)
    parser.add_argument("--units", type=int, nargs="+", default=[30, 100, 300])
    parser.add_argument("--margins", type=float, nargs="+", default=[0.02, 0.05, 0.1])
    parser.add_argument("--name", default="whole_certifier")
    options = parser.parse_args()
    began = time.perf_counter()
    rows, shown = false_rates(options), powers(options)
    report(
        options.name,
        {
            "alpha": ALPHA,
            "trials": options.trials,
            "resamples": options.resamples,
            "attempts": ATTEMPTS,
            "worst_rate": {
                name: max(row["rate"][name] for row in rows) for name in rows[0]["rate"]
            },
            "exceeds": {
                name: sum(name in row["exceeds"] for row in rows) for name in rows[0]["rate"]
            },
            "false_certification": rows,
            "power_at_no_difference": shown,
            "seconds": time.perf_counter() - began,
        },
    )


if __name__ == "__main__":
    main()
