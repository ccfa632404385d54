"""Repeated certification against one probe set: how much of the error each attempt may spend.

Whoever tries often enough passes by chance. So all attempts against one probe set share one error
alpha = 1 - confidence_level: attempt k is decided at the level 1 - alpha_k, and the probability
that any of them certifies falsely is at most the sum of the alpha_k, which is alpha, however the
attempts depend on each other (Boole).

That holds for candidates fixed beforehand. If the next candidate is chosen by what the previous
attempts *said*, it must hold for every candidate that could have been chosen: with a different
answers per attempt, attempt k may be any of a^(k - 1) candidates, each of which must be paid for
[1]. Hence `n_answers`:

* 1: the family ends with the first success, and before it the one who chooses learns nothing but
  "not yet" (the answers INCOMPATIBLE and INCONCLUSIVE are not told apart). All candidates but for
  the stopping are then as good as fixed beforehand, and nothing more is paid [1].
* 3, the default: the three verdicts are seen, and the family may go on after any of them.

No number of answers covers a candidate chosen by the per-query evidence or the bounds of earlier
attempts, or trained on the probe set: that needs a probe set which the chooser has not seen.

References:
    [1] Blum and Hardt, "The ladder: a reliable leaderboard for machine learning competitions",
        ICML 2015 (the union bound over all paths of answers).
"""

from __future__ import annotations

import math

from .clusters import check_level


def spent_level(
    confidence_level: float, attempt: int, *, planned: int | None = None, n_answers: int = 3
) -> float:
    """Return the confidence level at which this attempt has to be decided.

    Without a plan the family is open: attempt k has the share w_k = 6 / (pi^2 k^2), which sum to 1.
    The first attempt pays too, because others may follow: at 0.95 it is decided at 0.9696, which
    costs a fifth more units; halving the error with each attempt would cost more at the first
    attempt (0.975) and from the sixth on, 1 / k^3 less at the first (0.958) and much more later.
    With `planned` attempts each has the share 1 / planned: a single planned attempt pays nothing,
    and there is no second one. A plan made after the first result is no plan.

    Every attempt counts whose result anybody saw, inconclusive and failed ones too, and it counts
    before its result is known.

    Args:
        confidence_level: of the family of all attempts against one probe set.
        attempt: which it is, counted from 1.
        planned: how many there will ever be, declared before the first.
        n_answers: answers between which the one who chooses candidates can tell (see the module).

    Raises:
        ValueError: if a value is out of range, the attempt is beyond the plan, or so little error
            is left that the level rounds to 1.
    """
    check_level(confidence_level)
    if attempt < 1 or n_answers < 1:
        raise ValueError(
            f"attempt and n_answers must be at least 1 but got {attempt} and {n_answers}"
        )
    level = 1 - (1 - confidence_level) * _share(attempt, planned) / _paths(attempt, n_answers)
    if level >= 1:
        raise ValueError(f"attempt {attempt} has no error left to spend: use a new probe set")
    return level


def needed_resamples(confidence_level: float, smallest_rank: int = 10) -> int:
    """Return how many resamples a bound at this level needs: later attempts need more.

    Args:
        confidence_level: of the bound.
        smallest_rank: of the order statistic that is the bound.

    Raises:
        ValueError: if the level is not in (0, 1).
    """
    check_level(confidence_level)
    return math.ceil(smallest_rank / (1 - confidence_level) - 1e-6)


def _share(attempt: int, planned: int | None) -> float:
    if planned is None:
        return 6 / (math.pi * attempt) ** 2
    if attempt > planned:
        raise ValueError(f"attempt must be at most planned = {planned} but got {attempt}")
    return 1 / planned


def _paths(attempt: int, n_answers: int) -> float:
    """Return how many candidates might have been chosen by the answers so far."""
    return float(n_answers) ** min(attempt - 1, 600)
