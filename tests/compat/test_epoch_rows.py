"""The rows of an epoch's steps, for any numbers of new and rehearsed rows."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from compat.epoch_rows import epoch_rows, rehearsed_rows, step_rows
from registry.errors import InvalidInputError


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def shared(n_new: int, n_old: int, size: int, share: float, seed: int = 0) -> list[Tensor]:
    return epoch_rows(n_new + n_old, size, rng(seed), n_rehearsed=n_old, share=share)


@given(
    n_new=st.integers(1, 80),
    n_old=st.integers(1, 40),
    size=st.integers(2, 24),
    share=st.floats(0.05, 0.95),
)
def test_steps_have_their_share_of_evenly_used_rehearsed_rows(
    n_new: int, n_old: int, size: int, share: float
) -> None:
    wanted = round(share * size)
    assume(0 < wanted < size)
    steps = shared(n_new, n_old, size, share)
    rows = torch.cat(steps)
    assert sorted(rows[rows < n_new].tolist()) == list(range(n_new))
    counts = torch.bincount(rows[rows >= n_new] - n_new, minlength=n_old)
    assert counts.max() - counts.min() <= 1
    *full, last = steps
    assert all(len(step) == size and int((step >= n_new).sum()) == wanted for step in full)
    n_last_new = int((last < n_new).sum())
    assert 2 <= len(last) <= size
    assert 0 <= len(last) - n_last_new - n_last_new * wanted / (size - wanted) < 1


@given(size=st.integers(2, 40), share=st.floats(0.05, 0.95), n_parts=st.integers(2, 5))
def test_parts_of_a_step_have_the_share_too(size: int, share: float, n_parts: int) -> None:
    wanted = round(share * size)
    assume(0 < wanted < size)
    (step, *_) = shared(size, 7, size, share)
    for part in torch.tensor_split(step, n_parts):
        assert abs(int((part >= size).sum()) - len(part) * wanted / size) < 1


def test_the_generator_draws_the_order_of_both() -> None:
    first, again, other = (shared(30, 10, 8, 0.5, seed) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    for is_old in (False, True):
        orders = [torch.cat([s[(s >= 30) == is_old] for s in steps]) for steps in (first, other)]
        assert not torch.equal(*orders)
    old = torch.cat([step[step >= 30] for step in first]).tolist()
    rounds = [old[i : i + 10] for i in (0, 10, 20)]
    assert [sorted(r) for r in rounds] == [list(range(30, 40))] * 3
    assert rounds[0] != rounds[1]  # shuffled anew each time


@given(n=st.integers(1, 60), size=st.integers(1, 20), n_rehearsed=st.integers(0, 5))
def test_without_a_share_an_epoch_is_one_pass_over_all_rows(
    n: int, size: int, n_rehearsed: int
) -> None:
    steps = epoch_rows(n, size, rng(), n_rehearsed=n_rehearsed)
    order = torch.randperm(n, generator=rng())
    assert torch.equal(torch.cat(steps), order)
    assert [len(s) for s in steps] == [len(s) for s in step_rows(order, size)]


def test_a_single_row_that_is_left_joins_the_step_before() -> None:
    assert [len(rows) for rows in step_rows(torch.arange(33), 16)] == [16, 17]
    assert [len(rows) for rows in step_rows(torch.arange(34), 16)] == [16, 16, 2]
    assert [len(rows) for rows in step_rows(torch.arange(3), 1)] == [1, 1, 1]


@pytest.mark.parametrize(("share", "size"), [(0.01, 16), (0.99, 16), (0.5, 1)])
def test_a_step_too_small_for_its_share_is_refused(share: float, size: int) -> None:
    with pytest.raises(InvalidInputError, match=f"rehearsal_share of {share} makes") as info:
        rehearsed_rows(share, size)
    assert "larger batches" in (info.value.hint or "")
