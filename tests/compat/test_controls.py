from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from compat.certification import PairedScores
from compat.controls import OLD, RANDOM, ROTATED, judge_controls
from compat.evaluation.ranking import RankingScores
from compat.matrix import ByMetric
from registry.domain.certificates import Control, Criterion, Verdict
from registry.domain.policies import Policy
from registry.domain.requirements import Requirement

N = 80
POLICY = Policy((Requirement("mAP", Criterion.SUPERIORITY),), n_resamples=300)


def scores(value: Any) -> ByMetric:
    values = np.broadcast_to(np.asarray(value, np.float64), N).copy()
    return RankingScores(values, {1: values}, {10: values}, np.ones(N, np.int64)).by_name


def judge(
    served: Any = None,
    leakage: Any = None,
    *,
    random: float = 0.0,
    rotated: float = 0.0,
    old: float = 0.5,
) -> dict[str, Control]:
    pair = PairedScores(scores(0.5), scores(0.9), np.arange(N), {"all": np.arange(N)})
    planted = {RANDOM: scores(random), ROTATED: scores(rotated), OLD: scores(old)}
    controls = judge_controls(pair, planted, served, POLICY, leakage)
    return {control.name: control for control in controls}


def test_a_gate_that_works_passes_every_control() -> None:
    found = judge(np.full(N, 0.89))
    assert list(found) == ["random model", "rotated model", "old model", "served search"]
    assert all(control.is_passed for control in found.values())
    assert found["served search"].value == pytest.approx(0.89)
    assert list(judge()) == ["random model", "rotated model", "old model"]
    unleaked = judge(leakage={"same id": np.zeros(N)})
    assert list(unleaked) == ["random model", "rotated model", "old model", "no leakage"]
    assert unleaked["no leakage"].is_passed


def test_each_control_can_fail_by_itself() -> None:
    for name, found in (
        ("random model", judge(random=0.9)),
        ("rotated model", judge(rotated=0.9)),
        ("old model", judge(old=0.1)),
        ("served search", judge(np.full(N, 0.87))),
        ("no leakage", judge(leakage={"nearest cosine": np.linspace(0, 1, N)})),
    ):
        assert [c.name for c in found.values() if not c.is_passed] == [name]
    assert judge(np.full(N, 0.87))["served search"].found is Verdict.INCONCLUSIVE
