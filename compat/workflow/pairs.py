"""Studying one ordered pair: its cell, its baseline, and the planted controls around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compat.cells import (
    SearchedItems,
    itself_among,
    measure_cell,
    own_positions,
    relevance_of,
)
from compat.certification import PairedScores, fewest_units, find, lenient, try_control
from compat.evaluation.ranking import RankingScores
from compat.probes import Probe
from registry.arrays import Float32Array, Int64Array, LabelArray
from registry.domain.certificates import Control, Finding, Verdict
from registry.domain.conclusions import conclude
from registry.domain.contracts import Contract, ContractKind
from registry.domain.galleries import Metric
from registry.domain.policies import Policy
from registry.domain.refs import VersionRef
from registry.galleries.search import SearchTarget, search_segments

COMMON_KS = (1, 5, 10)


@dataclass(frozen=True, slots=True)
class Pair:
    """What is to be shown: queries of one version on vectors of another, against a baseline.

    Attributes:
        query_version: whose queries are studied.
        gallery_version: whose vectors are searched.
        baseline_version: whose self-test is the baseline.
        contract: how the two are compared.
        metric: the gallery's metric.
    """

    query_version: VersionRef
    gallery_version: VersionRef
    baseline_version: VersionRef
    contract: Contract
    metric: Metric


@dataclass(frozen=True, slots=True)
class Study:
    """The outcome of studying a pair."""

    pair: Pair
    scores: PairedScores
    findings: tuple[Finding, ...]
    controls: tuple[Control, ...]

    @property
    def verdict(self) -> Verdict:
        """The verdict over findings and controls."""
        return conclude(self.findings, self.controls)


def metric_ks(policy: Policy) -> tuple[int, ...]:
    """Return the ranks k that are measured: the usual ones and those that the policy names."""
    named = [r.metric.partition("@")[2] for r in policy.requirements]
    return tuple(sorted({*COMMON_KS, *(int(k) for k in named if k.isdigit())}))


def units_of(probe: Probe, policy: Policy) -> LabelArray:
    """Return the independent unit of each query. Shape: (n_queries,)."""
    asked = probe.queries
    return asked.labels if policy.unit == "class" else np.arange(len(asked.ids))


def study_pair(  # noqa: PLR0913 -- what is studied, on what, and by which rules
    pair: Pair,
    probe: Probe,
    items: SearchedItems,
    baseline: RankingScores,
    policy: Policy,
    *,
    old_items: SearchedItems,
    targets: Sequence[SearchTarget] = (),
) -> Study:
    """Measure a pair and run the gate and its controls.

    Args:
        pair: what is to be shown.
        probe: labelled queries, embedded by every version.
        items: what is searched.
        baseline: scores of the baseline version's queries on its own vectors of those items.
        policy: the rules.
        old_items: the same items as the baseline version embedded them.
        targets: opened segments, if the items are those of a gallery; then the search that will
            serve is compared with the exact one.
    """
    queries = probe.vectors_of(pair.query_version).vectors
    bench = _Bench(pair, probe, items, baseline, policy)
    scores = bench.measure(queries)
    rng = np.random.default_rng([policy.seed, 1])
    controls = [
        try_control("random model", bench.measure(_random(queries, rng)), policy, expected=_NO),
        try_control("rotated model", bench.measure(_rotated(queries, rng)), policy, expected=_NO),
        bench.try_old_model(old_items),
    ]
    if targets:
        controls.append(_served(pair, probe, items, scores, policy, targets))
    return Study(pair, scores, find(scores, policy), tuple(controls))


@dataclass(frozen=True, slots=True)
class _Bench:
    pair: Pair
    probe: Probe
    items: SearchedItems
    baseline: RankingScores
    policy: Policy

    def measure(self, queries: Float32Array) -> PairedScores:
        """Measure some vectors of the queries as if the candidate had made them."""
        found = self._cell(queries, self.items, self.pair.contract)
        return self._paired(found)

    def try_old_model(self, old_items: SearchedItems) -> Control:
        """Measure the old model once more, as the candidate: it must pass."""
        vectors = self.probe.vectors_of(self.pair.baseline_version).vectors
        itself = Contract(ContractKind.SAME_SPACE, vectors.shape[1])
        scores = self._paired(self._cell(vectors, old_items, itself))
        rules = lenient(self.policy, fewest_units(scores, self.policy))
        return try_control("old model", scores, rules, expected=Verdict.COMPATIBLE)

    def _cell(
        self, queries: Float32Array, items: SearchedItems, contract: Contract
    ) -> RankingScores:
        ks, metric = metric_ks(self.policy), self.pair.metric
        asked = self.probe.queries
        return measure_cell(queries, asked, items, contract=contract, metric=metric, ks=ks)

    def _paired(self, found: RankingScores) -> PairedScores:
        clusters = units_of(self.probe, self.policy)
        return PairedScores(self.baseline, found, clusters, self.probe.groups)


_NO = Verdict.INCOMPATIBLE


def _random(queries: Float32Array, rng: np.random.Generator) -> Float32Array:
    return rng.standard_normal(queries.shape, dtype=np.float32)


def _rotated(queries: Float32Array, rng: np.random.Generator) -> Float32Array:
    dim = queries.shape[1]
    rotation, _ = np.linalg.qr(rng.standard_normal((dim, dim)))
    return np.ascontiguousarray(queries @ rotation.astype(np.float32))


def _served(
    pair: Pair,
    probe: Probe,
    items: SearchedItems,
    scores: PairedScores,
    policy: Policy,
    targets: Sequence[SearchTarget],
) -> Control:
    """Compare hit@1 of the search that will serve with that of the exact search."""
    queries = probe.vectors_of(pair.query_version).vectors
    k = min(2, len(items.ids))
    hits = search_segments(targets, queries, k, pair.metric)
    first = _first_others(hits.ids, itself_among(probe.queries, items), items.ids)
    served = float(np.mean(relevance_of(probe.queries, items).holds(first)))
    exact = float(scores.candidate.metric("hit@1").mean())
    is_close = served >= exact - policy.control_margin
    verdict = Verdict.COMPATIBLE if is_close else Verdict.INCONCLUSIVE
    return Control("served search", Verdict.COMPATIBLE, verdict, served)


def _first_others(found: LabelArray, itself: Int64Array, ids: LabelArray) -> Int64Array:
    """Return the position among the items of each query's first hit that is not itself, or -1."""
    is_self = (itself >= 0) & (found[:, 0] == ids[itself])
    column = np.where(is_self, min(1, found.shape[1] - 1), 0)
    return own_positions(found[np.arange(len(found)), column], ids)
