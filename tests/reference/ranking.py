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


def groups_of(scores: Sequence[float], relevant: Sequence[bool]) -> list[list[bool]]:
    """Return the flags of the items with each score, best score first."""
    return [
        [flag for score, flag in zip(scores, relevant, strict=True) if score == value]
        for value in sorted(set(scores), reverse=True)
    ]


def orders_of(groups: list[list[bool]]) -> Iterator[list[bool]]:
    """Yield the flags in every order that the groups allow."""
    for parts in itertools.product(*(itertools.permutations(group) for group in groups)):
        yield [flag for part in parts for flag in part]


def average_precision_in_order(flags: Sequence[bool]) -> float:
    n_seen, total = 0, 0.0
    for rank, flag in enumerate(flags, start=1):
        if flag:
            n_seen += 1
            total += n_seen / rank
    return total / n_seen


def enumerated(scores: Sequence[float], relevant: Sequence[bool], ks: Sequence[int]) -> Expected:
    orders = list(orders_of(groups_of(scores, relevant)))
    n_relevant = sum(relevant)
    return Expected(
        average_precision=math.fsum(map(average_precision_in_order, orders)) / len(orders),
        hit={k: sum(any(flags[:k]) for flags in orders) / len(orders) for k in ks},
        recall={k: sum(sum(flags[:k]) for flags in orders) / len(orders) / n_relevant for k in ks},
    )


def summed(scores: Sequence[float], relevant: Sequence[bool], ks: Sequence[int]) -> Expected:
    above = relevant_above = 0
    total = 0.0
    hit, recall = dict.fromkeys(ks, 0.0), dict.fromkeys(ks, 0.0)
    for group in groups_of(scores, relevant):
        t, r = len(group), sum(group)
        for place in range(1, t + 1):
            before = (place - 1) * (r - 1) / (t - 1) if t > 1 else 0.0
            total += r / t * (relevant_above + 1 + before) / (above + place) if r else 0.0
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
    )
