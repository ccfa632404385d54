"""What an attempt pays for the others that are made with the same questions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from registry.domain.attempts import BY_VERDICT, UNCOUNTED, UNTIL_PASSED, Attempt
from registry.domain.canonical import digest_json
from registry.domain.certificates import Certificate
from registry.domain.policies import Policy
from registry.errors import InvalidInputError

from .probes import Labels, numbered
from .stats.attempts import needed_resamples, spent_level

_N_VERDICTS = 3
_MOST_RESAMPLES = 5_000_000
_DECIDING = ("confidence_level", "n_resamples", "attempts", "planned_attempts")


def digest_questions(asked: Labels) -> str:
    """Return the SHA-256 of queries by id and label, in any order, and of nobody's vectors.

    Groups do not count: the same queries in other slices are the same queries. Of queries that
    nobody named the labels count alone.
    """
    ids, labels = asked.ids.astype(str), asked.labels.astype(str)
    if np.array_equal(ids, numbered(len(ids))):
        ids = np.full(len(ids), "")
    pairs = zip(ids.tolist(), labels.tolist(), strict=True)
    return digest_json([list(pair) for pair in sorted(pairs)])


def rules_of(policy: Policy, attempt: Attempt | None) -> Policy:
    """Return the policy by which one attempt is decided: at its own share of the error.

    Resamples are added where the level needs more than the policy names.

    Raises:
        InvalidInputError: if the attempt is beyond the plan, or there is no error left to spend.
    """
    if attempt is None or policy.attempts == UNCOUNTED:
        return policy
    try:
        own = spent_level(
            policy.confidence_level,
            attempt.number,
            planned=policy.planned_attempts,
            n_answers=_N_VERDICTS if policy.attempts == BY_VERDICT else 1,
        )
        left = 1 - policy.confidence_level - attempt.spent_before
        level = own if 1 - own <= left * (1 + 1e-9) else 1 - left
        if left <= 0 or level >= 1:
            raise ValueError(f"they spent {attempt.spent_before:.4g} of the error between them")
        n_resamples = max(policy.n_resamples, needed_resamples(level))
    except ValueError as error:
        raise _used_up(attempt, str(error)) from error
    if n_resamples > _MOST_RESAMPLES:
        raise _used_up(attempt, f"it would have to be decided at confidence {level:.7g}")
    return replace(policy, confidence_level=level, n_resamples=n_resamples)


def paying(policy: Policy, attempt: Attempt) -> Attempt:
    """Return an attempt with the error that it spends under a policy.

    Raises:
        InvalidInputError: as `rules_of`.
    """
    return replace(attempt, spent=round(1 - rules_of(policy, attempt).confidence_level, 12))


def level_of(certificate: Certificate) -> float:
    """Return the confidence level of each one-sided bound in a certificate's findings."""
    said = {name: certificate.policy[name] for name in _DECIDING if name in certificate.policy}
    return rules_of(Policy.recorded(said), certificate.attempt).confidence_level


def describe_attempt(policy: Policy, attempt: Attempt) -> str:
    """Return in a sentence which attempt it is, what it paid, and what it does not cover."""
    these = f"It is attempt {attempt.number} on these queries in this model line"
    if policy.attempts == UNCOUNTED:
        return (
            f"{these}, and the policy lets none pay for the others: many attempts pass by chance."
        )
    level = rules_of(policy, attempt).confidence_level
    plan = "" if policy.planned_attempts is None else f" of {policy.planned_attempts} planned"
    learnt = {
        UNTIL_PASSED: "that earlier ones did not pass",
        BY_VERDICT: "the verdicts of earlier ones",
    }[policy.attempts]
    return (
        f"{these}{plan}, decided at one-sided confidence {level:.6g}, so that all of them together "
        f"err at most {1 - policy.confidence_level:.4g}. That holds if the candidate was chosen by "
        f"nothing but {learnt}, not by their numbers query by query, and was not trained on these "
        "queries. Dry runs and attempts in other registries are not counted, and another selection "
        "or naming of the same queries begins anew: a registered probe set keeps them together."
    )


def _used_up(attempt: Attempt, why: str) -> InvalidInputError:
    return InvalidInputError(
        f"these queries are used up: this is attempt {attempt.number} on them, and {why}",
        hint="certify on queries that no earlier attempt has seen",
    )
