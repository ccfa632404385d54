"""Counting and finding what is true in flags."""

from __future__ import annotations

import numpy as np
import pytest

from compat.evaluation import _passes


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
@pytest.mark.parametrize("n", [1024, 4096])
def test_counts_each_row(share: float, n: int) -> None:
    """Also where all are true, so that bytes are as full as they get."""
    flags = np.random.default_rng(0).random((5, n)) < share
    assert _passes.count_true(flags).tolist() == [sum(row) for row in flags.tolist()]


def test_finds_in_order() -> None:
    flags = np.zeros((3, 4), dtype=np.bool_)
    flags[2, 1] = flags[0, 3] = flags[0, 0] = True
    found = _passes.find_true(flags, most=3 / 12)
    assert found is not None
    assert list(zip(*map(np.ndarray.tolist, found), strict=True)) == [(0, 0), (0, 3), (2, 1)]


def test_gives_up_where_too_many_are_true() -> None:
    flags = np.ones((3, 4), dtype=np.bool_)
    assert _passes.find_true(flags, most=0.99) is None
    assert _passes.find_true(flags, most=1.0) is not None
