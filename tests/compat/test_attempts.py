from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compat.attempts import describe_attempt, digest_questions, paying, rules_of
from compat.probes import Labels, numbered
from compat.stats import spent_level
from registry.domain.attempts import BY_VERDICT, UNCOUNTED, Attempt
from registry.domain.policies import Policy
from registry.errors import InvalidInputError


def attempt(number: int) -> Attempt:
    return Attempt("q", "r", number)


def test_all_attempts_together_spend_the_error_and_no_more() -> None:
    spent = [1 - rules_of(Policy(), attempt(k)).confidence_level for k in range(1, 60)]
    assert 0.049 < sum(spent) < 0.05
    assert spent == sorted(spent, reverse=True)


def test_choosing_by_verdicts_costs_three_times_as_much_each_time() -> None:
    plain, dear = Policy(), Policy(attempts=BY_VERDICT)
    for number in (1, 2, 3):
        ratio = (1 - rules_of(plain, attempt(number)).confidence_level) / (
            1 - rules_of(dear, attempt(number)).confidence_level
        )
        assert ratio == pytest.approx(3.0 ** (number - 1))


def test_a_single_planned_attempt_pays_nothing_and_there_is_no_second() -> None:
    policy = Policy(planned_attempts=1)
    assert rules_of(policy, attempt(1)) == policy
    with pytest.raises(InvalidInputError, match="used up: this is attempt 2 on them") as caught:
        rules_of(policy, attempt(2))
    assert caught.value.hint is not None


def test_uncounted_attempts_are_decided_as_the_policy_says() -> None:
    policy = Policy(attempts=UNCOUNTED)
    assert rules_of(policy, attempt(7)) == policy
    assert rules_of(Policy(), None) == Policy()
    assert "none pay for the others" in describe_attempt(policy, attempt(7))


def test_later_attempts_get_the_resamples_that_their_level_needs() -> None:
    few = Policy(n_resamples=300)
    level = spent_level(0.95, 5, n_answers=1)
    rules = rules_of(few, attempt(5))
    assert rules.confidence_level == level
    assert rules.n_resamples * (1 - level) >= 10 - 1e-6
    assert rules_of(Policy(), attempt(2)).n_resamples == 20_000


def test_there_is_an_end_to_attempts() -> None:
    with pytest.raises(InvalidInputError, match="used up: this is attempt 9 on them, and it would"):
        rules_of(Policy(attempts=BY_VERDICT), attempt(9))
    with pytest.raises(InvalidInputError, match="no error left"):
        rules_of(Policy(attempts=BY_VERDICT), attempt(60))


def test_the_sentence_says_what_was_paid_and_what_it_does_not_cover() -> None:
    said = describe_attempt(Policy(), attempt(2))
    assert "attempt 2 on these queries" in said
    assert "confidence 0.992401" in said
    assert "err at most 0.05" in said
    assert "that earlier ones did not pass" in said
    planned = describe_attempt(Policy(attempts=BY_VERDICT, planned_attempts=4), attempt(2))
    assert "attempt 2 on these queries in this model line of 4 planned" in planned
    assert "the verdicts of earlier ones" in planned


LABELS = Labels(np.arange(4), np.array(["a", "a", "b", "b"]))


def test_the_same_queries_in_another_order_or_other_slices_are_the_same() -> None:
    digest = digest_questions(LABELS)
    order = [2, 0, 3, 1]
    shuffled = Labels(LABELS.ids[order], LABELS.labels[order])
    assert digest_questions(shuffled) == digest
    assert digest_questions(replace(LABELS, groups=np.array(["x", "y", "x", "y"]))) == digest
    assert digest_questions(replace(LABELS, ids=np.array(["0", "1", "2", "3"]))) == digest


def test_other_ids_or_labels_are_other_queries() -> None:
    digest = digest_questions(LABELS)
    assert digest_questions(replace(LABELS, ids=np.arange(4) + 1)) != digest
    assert digest_questions(replace(LABELS, labels=np.array(["a", "b", "b", "b"]))) != digest


def test_a_plan_that_is_changed_afterwards_gains_nothing() -> None:
    """A single planned attempt spends everything: whatever comes after it is refused."""
    for policy in (Policy(planned_attempts=2), Policy(), Policy(attempts=BY_VERDICT)):
        with pytest.raises(InvalidInputError, match=r"they spent 0\.05 of the error"):
            rules_of(policy, Attempt("q", "r", 2, spent_before=0.05))
    half = rules_of(Policy(planned_attempts=2), Attempt("q", "r", 2, spent_before=0.03))
    assert half.confidence_level == pytest.approx(0.98)  # no more than what is left


def test_all_attempts_stay_within_the_error_however_policies_change() -> None:
    spent, number = 0.0, 0
    for planned in (4, 3, None, 5, 6, None, 9):
        number += 1
        try:
            paid = paying(
                Policy(planned_attempts=planned), Attempt("q", str(number), number, spent)
            )
        except InvalidInputError:
            continue
        spent += paid.spent
    assert 0.04 < spent <= 0.05 + 1e-9


def test_rows_that_nobody_named_are_told_by_their_labels_in_any_order() -> None:
    labels = np.array(["a", "b", "a", "c"])
    order = [3, 1, 0, 2]
    digest = digest_questions(Labels(numbered(4), labels))
    assert digest_questions(Labels(numbered(4), labels[order])) == digest
    assert digest_questions(Labels(numbered(4), np.array(["a", "b", "b", "c"]))) != digest
