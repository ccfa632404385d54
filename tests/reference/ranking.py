"""Ranking metrics written naively, in expectation over random orders of equal scores.

`enumerated` is the definition: every order that the scores allow, each as likely as the others.
`summed` is for larger cases: McSherry and Najork (ECIR 2008), place by place in each group of
equal scores, in plain loops. The tests hold the two together.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Expected:
    average_precision: float
    hit: dict[int, float]
    recall: dict[int, float]
    ndcg: dict[int, float]
    reciprocal_rank: float
    average_precision_at_r: float


def groups_of(scores: Sequence[float], gains: Sequence[float]) -> list[list[float]]:
    """Return the gains of the items with each score, best score first."""
    return [
        [gain for score, gain in zip(scores, gains, strict=True) if score == value]
        for value in sorted(set(scores), reverse=True)
    ]


def orders_of(groups: list[list[float]]) -> Iterator[list[float]]:
    """Yield the gains in every order that the groups allow."""
    for parts in itertools.product(*(itertools.permutations(group) for group in groups)):
        yield [gain for part in parts for gain in part]


def average_precision_in_order(gains: Sequence[float], depth: int) -> float:
    n_seen, total = 0, 0.0
    for rank, gain in enumerate(gains, start=1):
        if gain:
            n_seen += 1
            total += n_seen / rank if rank <= depth else 0.0
    return total / n_seen


def dcg_in_order(gains: Sequence[float], k: int) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains[:k], start=1))


def first_rank(gains: Sequence[float]) -> int:
    return next(rank for rank, gain in enumerate(gains, start=1) if gain)


def enumerated(scores: Sequence[float], gains: Sequence[float], ks: Sequence[int]) -> Expected:
    orders = list(orders_of(groups_of(scores, gains)))
    n, n_relevant = len(orders), sum(map(bool, gains))
    best = sorted(gains, reverse=True)

    def recalled(order: Sequence[float], k: int) -> float:
        return sum(map(bool, order[:k])) / n_relevant

    return Expected(
        average_precision=math.fsum(average_precision_in_order(o, len(o)) for o in orders) / n,
        hit={k: sum(any(order[:k]) for order in orders) / n for k in ks},
        recall={k: math.fsum(recalled(order, k) for order in orders) / n for k in ks},
        ndcg={
            k: math.fsum(dcg_in_order(order, k) for order in orders) / n / dcg_in_order(best, k)
            for k in ks
        },
        reciprocal_rank=math.fsum(1 / first_rank(order) for order in orders) / n,
        average_precision_at_r=math.fsum(
            average_precision_in_order(order, n_relevant) for order in orders
        )
        / n,
    )


def summed(scores: Sequence[float], gains: Sequence[float], ks: Sequence[int]) -> Expected:
    above = relevant_above = 0
    total = total_at_r = reciprocal = 0.0
    n_relevant, best = sum(map(bool, gains)), sorted(gains, reverse=True)
    hit, recall, dcg = (dict.fromkeys(ks, 0.0) for _ in range(3))
    for group in groups_of(scores, gains):
        t, r = len(group), sum(map(bool, group))
        for place in range(1, t + 1):
            rank = above + place
            before = (place - 1) * (r - 1) / (t - 1) if t > 1 else 0.0
            precision = r / t * (relevant_above + 1 + before) / rank if r else 0.0
            total += precision
            total_at_r += precision if rank <= n_relevant else 0.0
            if relevant_above == 0 and r:
                reciprocal += math.comb(t - place, r - 1) / math.comb(t, r) / rank
            for k in ks:
                dcg[k] += sum(group) / t / math.log2(rank + 1) if rank <= k else 0.0
        for k in ks:
            drawn = min(max(k - above, 0), t)
            recall[k] += drawn * r / t
            if relevant_above == 0 and r:
                hit[k] = 1 - math.comb(t - r, drawn) / math.comb(t, drawn)
        above, relevant_above = above + t, relevant_above + r
    return Expected(
        average_precision=total / relevant_above,
        hit=hit,
        recall={k: value / relevant_above for k, value in recall.items()},
        ndcg={k: value / dcg_in_order(best, k) for k, value in dcg.items()},
        reciprocal_rank=reciprocal,
        average_precision_at_r=total_at_r / relevant_above,
    )
