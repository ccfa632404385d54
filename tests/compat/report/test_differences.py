from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compat.evidence import Evidence
from compat.probes import Labels
from compat.report import Entry
from compat.report.differences import (
    count_flips,
    differences,
    histogram,
    negatively_flipped,
    worst_classes,
)
from tests.compat.report.builders import GOOD, NEW, OLD, cell, make_entry


def small(before: list[float], after: list[float], labels: str) -> Entry:
    """An entry of which only hit@1 was measured; the second half of its queries is a group."""
    half = len(before) // 2
    cells = {
        cell(OLD, OLD): {"hit@1": np.array(before)},
        cell(NEW, OLD): {"hit@1": np.array(after)},
    }
    asked = Labels(
        np.array([f"q{row}" for row in range(len(before))]),
        np.array(list(labels)),
        np.repeat(["a", "b"], [half, len(before) - half]),
    )
    n_relevant = np.ones(len(before), np.int64)
    evidence = Evidence(asked, asked.labels, n_relevant, cells, {})
    return replace(make_entry(GOOD), evidence=evidence)


def test_a_difference_is_candidate_minus_baseline_of_the_same_query() -> None:
    entry = small([1, 0, 1, 0.1], [0, 1, 1, 0.1 + 1e-17], "aabb")
    found = differences(entry, "hit@1")
    assert found is not None
    assert found.tolist() == [-1, 1, 0, 0]
    assert differences(entry, "mAP") is None


def test_the_histogram_counts_what_changed_and_says_what_did_not() -> None:
    values = np.array([-0.5, -0.1, 0, 0, 0, 0.2, 0.4, 0.5])
    found = histogram(values, n_bins=10)
    assert found.edges[[0, 5, -1]] == pytest.approx([-0.5, 0, 0.5])
    assert found.counts.sum() == 5
    assert (found.n_unchanged, found.n_worse, found.n_better) == (3, 2, 3)
    assert found.n_queries == 8
    assert found.mean == pytest.approx(values.mean())


def test_a_histogram_of_no_change_is_empty() -> None:
    found = histogram(np.zeros(4))
    assert (found.n_unchanged, found.counts.sum()) == (4, 0)
    assert found.edges[0] < 0 < found.edges[-1]


def test_flips_are_counted_in_every_group() -> None:
    entry = small([1, 1, 0, 1, 0, 0], [0, 1, 1, 0, 0, 1], "aabbcc")
    found = {f.group: (f.n_queries, f.negative, f.positive) for f in count_flips(entry)}
    assert found == {"all": (6, 2, 2), "a": (3, 1, 1), "b": (3, 1, 1)}
    assert negatively_flipped(entry) == ("q0", "q3")


def test_a_hit_that_is_left_to_chance_is_a_share_of_a_flip() -> None:
    (all_queries, *_) = count_flips(small([1, 0.5], [0.5, 0.5], "ab"))
    assert all_queries.negative == pytest.approx(0.5 + 0.25)
    assert all_queries.positive == pytest.approx(0.25)


def test_without_hits_there_are_no_flips() -> None:
    entry = small([1, 0], [1, 0], "ab")
    bare = replace(entry, evidence=replace(entry.evidence, cells={}))
    assert count_flips(bare) == ()
    assert negatively_flipped(bare) == ()


def test_the_worst_classes_come_first_and_those_that_did_not_lose_not_at_all() -> None:
    entry = small([1, 1, 1, 1, 0, 1], [0, 0, 1, 0, 1, 1], "aabbcc")
    found = worst_classes(entry, "hit@1")
    assert [(c.label, c.difference, c.n_queries) for c in found] == [("a", -1, 2), ("b", -0.5, 2)]
    assert len(worst_classes(entry, "hit@1", limit=1)) == 1


def test_queries_without_classes_have_no_worst_one() -> None:
    assert worst_classes(small([1, 1], [0, 0], "ab"), "hit@1") == ()
    assert worst_classes(small([1, 1], [0, 0], "aa"), "mAP") == ()
