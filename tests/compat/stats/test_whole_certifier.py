"""Groups, requirements, controls and attempts together: the benchmark's promise, in small."""

from __future__ import annotations

from argparse import Namespace

import numpy as np
import pytest

from benchmarks import whole_certifier as benchmark
from benchmarks.certification_worlds import make_world
from compat.stats import rate_bounds
from registry.domain.attempts import UNCOUNTED
from registry.domain.certificates import Verdict

SETTING = benchmark.Setting(margin=0.1, shape="ternary", sizes="skewed", n_units=60)
OPTIONS = Namespace(trials=60, resamples=3000)


def test_at_the_boundary_no_more_than_alpha_pass_counted_and_more_do_uncounted() -> None:
    found = benchmark.count_false(SETTING, OPTIONS, seed=1)
    for name in ("one", "five counted"):
        assert rate_bounds(found[name], OPTIONS.trials, confidence_level=0.999).low <= 0.05
    assert found["five uncounted"] >= found["five counted"]
    assert found["five uncounted"] > found["one"]


def test_the_worlds_numbers_have_the_mean_that_they_say() -> None:
    world = make_world("ternary", "single", -0.1, may_gain=False)
    scores = benchmark.scores_of(
        benchmark.Setting(0.1, "ternary", "fixed", 20_000), world, np.random.default_rng(0)
    )
    rows = scores.groups["a"]
    change = (scores.candidate["hit@1"] - scores.baseline["hit@1"])[rows]
    assert change.mean() == pytest.approx(-0.1, abs=0.01)


def test_it_passes_what_holds() -> None:
    world = make_world("ternary", "single", 0.02, may_gain=True)
    policy = benchmark.policy_of(SETTING, 3000, UNCOUNTED)
    scores = benchmark.scores_of(SETTING, world, np.random.default_rng(0))
    assert benchmark.verdict_of(scores, policy, 1) is Verdict.COMPATIBLE
