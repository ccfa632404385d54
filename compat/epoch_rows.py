"""Which rows of the data each step of an epoch takes, with a share of rehearsed ones or without."""

from __future__ import annotations

import torch
from torch import Tensor

from registry.errors import InvalidInputError


def epoch_rows(
    n: int, size: int, rng: torch.Generator, *, n_rehearsed: int = 0, share: float | None = None
) -> list[Tensor]:
    """Return the rows of each step of an epoch, in an order that the generator draws.

    Without a share an epoch is one pass over all rows. With one, it is one pass over the new rows,
    and each step takes that share of its rows from the rehearsed ones [1]. Those are gone through
    in random order, again and again, so that the numbers of times that they are taken differ by one
    at most. What is left for the last step has at least the same share. New and rehearsed rows
    stand evenly mixed, so that a step's batches, and each process's part, have the share too.

    Args:
        n: number of rows.
        size: rows a step, at least 1.
        rng: a generator of the processor.
        n_rehearsed: how many of the rows are rehearsed; they are the last ones. With a share, at
            least 1 and less than `n`.
        share: of the rehearsed rows in a step, between 0 and 1, or None.

    Returns:
        Row numbers, int64, one tensor a step. Shape: (rows of the step,).

    Raises:
        InvalidInputError: as `rehearsed_rows`.

    References:
        [1] Biondi et al., Stationary Representations: Optimally Approximating Compatibility and
        Implications for Improved Model Replacements, CVPR 2024 (IAM-CL²R): half of each batch.
    """
    if share is None:
        return step_rows(torch.randperm(n, generator=rng), size)
    n_new, old_a_step = n - n_rehearsed, rehearsed_rows(share, size)
    new = torch.split(torch.randperm(n_new, generator=rng), size - old_a_step)
    wanted = [-(-len(rows) * old_a_step // (size - old_a_step)) for rows in new]
    old = torch.split(n_new + _cycled(n_rehearsed, sum(wanted), rng), wanted)
    return [_mixed(a, b) for a, b in zip(new, old, strict=True)]


def step_rows(order: Tensor, size: int) -> list[Tensor]:
    """Return the rows of each step: `size` of them, and in the last one what is left.

    A single row that is left joins the step before, since nothing can be normalised over one row.

    Args:
        order: the rows of an epoch. Shape: (n,).
        size: rows a step, at least 1.
    """
    steps = list(torch.split(order, size))
    if len(steps) > 1 and size > 1 and len(steps[-1]) == 1:
        steps[-2:] = [torch.cat(steps[-2:])]
    return steps


def rehearsed_rows(share: float, size: int) -> int:
    """Return how many rows of a step are rehearsed ones.

    Raises:
        InvalidInputError: if it would be none of them, or all.
    """
    n = round(share * size)
    if not 0 < n < size:
        raise InvalidInputError(
            f"a rehearsal_share of {share} makes {n} of a step's {size} rows rehearsed ones, but "
            "each step needs new and rehearsed rows",
            hint="take larger batches, or another share",
        )
    return n


def _cycled(n: int, n_wanted: int, rng: torch.Generator) -> Tensor:
    """Return so many of the numbers below n: all in random order, then all in another, and on."""
    rounds = [torch.randperm(n, generator=rng) for _ in range(-(-n_wanted // n))]
    return torch.cat(rounds)[:n_wanted]


def _mixed(a: Tensor, b: Tensor) -> Tensor:
    """Return the rows of both, each one's at even distances."""
    n = len(a) + len(b)
    is_b = (torch.arange(n + 1) * len(b) // n).diff() == 1
    mixed = torch.empty(n, dtype=a.dtype)
    mixed[is_b], mixed[~is_b] = b, a
    return mixed
