"""Studying one ordered pair: its cell, its baseline, and the planted controls around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from compat.calibration import DEPTH
from compat.cells import SearchedItems, measure_cell
from compat.certification import PairedScores, chosen_groups, find
from compat.controls import OLD, RANDOM, ROTATED, judge_controls
from compat.evaluation.ranking import RankingScores
from compat.matrix import ByMetric
from compat.probes import Probe
from compat.score_metrics import score_rules
from compat.served import find_served, served_metrics
from registry.arrays import Float32Array, Float64Array, LabelArray
from registry.domain.calibration import ScoreMap
from registry.domain.certificates import Control, Finding, Verdict
from registry.domain.conclusions import conclude
from registry.domain.contracts import Contract, ContractKind
from registry.domain.galleries import Metric
from registry.domain.places import ON_OLD
from registry.domain.policies import Policy
from registry.domain.refs import VersionRef
from registry.domain.requirements import INDEX_RECALL
from registry.galleries.search import SearchTarget

COMMON_KS = (1, 5, 10)
TOP_K = 10  # first items of each query that are kept as evidence


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

    @property
    def asked_by(self) -> VersionRef:
        """The version whose queries meet the vectors: the vectors' own, if the contract says so."""
        own = self.contract.has_own_encoder
        return self.gallery_version if own else self.query_version


@dataclass(frozen=True, slots=True)
class Study:
    """The outcome of studying a pair.

    Attributes:
        pair: what was to be shown.
        measured: the pair's rankings by exact search.
        scores: what was measured, by place: on the old vectors, and where else it is required.
        findings: each requirement in each group.
        controls: whether the gate behaved.
        planted: numbers of the candidates that were planted as controls, by name.
        served: hit@1 of each query by the search that will serve, if it was tried.
        calibration: by pair, a map onto the baseline's scale, if mixed galleries were measured.
    """

    pair: Pair
    measured: RankingScores
    scores: Mapping[str, PairedScores]
    findings: tuple[Finding, ...]
    controls: tuple[Control, ...]
    planted: Mapping[str, ByMetric]
    served: Float64Array | None
    calibration: Mapping[str, ScoreMap] = field(default_factory=dict)

    def found_on(self, place: str, scores: PairedScores, policy: Policy) -> Study:
        """Return the study with what is required in one more place."""
        findings = (*self.findings, *find(scores, policy, place))
        return replace(self, scores={**self.scores, place: scores}, findings=findings)

    @property
    def verdict(self) -> Verdict:
        """The verdict over findings and controls."""
        return conclude(self.findings, self.controls)


def metric_ks(policy: Policy) -> tuple[int, ...]:
    """Return the ranks k that are measured: the usual ones and those that the policy names."""
    named = [r.metric.partition("@")[2] for r in policy.requirements]
    return tuple(sorted({*COMMON_KS, *(int(k) for k in named if k.isdigit())}))


def top_depth(policy: Policy) -> int:
    """Return how many first items of each query are kept: as many as index recall asks for."""
    of_index = [name for name in served_metrics(policy) if name.startswith(INDEX_RECALL)]
    return max([TOP_K, *(int(name.removeprefix(INDEX_RECALL)) for name in of_index)])


def hits_depth(probe: Probe, policy: Policy) -> int:
    """Return how many first items are searched: more than are kept where scores are calibrated."""
    kept = top_depth(policy)
    return kept if probe.reembedded is None else max(kept, DEPTH)


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
    leakage: ByMetric | None = None,
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
        leakage: what was found of the queries in the candidate's training data, if there are any.
    """
    queries = probe.vectors_of(pair.asked_by).vectors
    bench = _Bench(pair, probe, policy)
    measured = bench.cell(queries, items, pair.contract, top_k=hits_depth(probe, policy))
    scores = paired(probe, policy, baseline.by_name, measured.by_name)
    rng = np.random.default_rng([policy.seed, 1])
    planted = {
        RANDOM: bench.cell(_random(queries, rng), items, pair.contract).by_name,
        ROTATED: bench.cell(_rotated(queries, rng), items, pair.contract).by_name,
        OLD: bench.old_again(old_items).by_name,
    }
    served = _served(pair, probe, items, targets) if targets else None
    controls = judge_controls(scores, planted, served, policy, leakage)
    found = find(scores, policy)
    return Study(pair, measured, {ON_OLD: scores}, found, controls, planted, served)


def paired(probe: Probe, policy: Policy, baseline: ByMetric, candidate: ByMetric) -> PairedScores:
    """Return the numbers of the probe's queries in two cells, by the policy's units and groups."""
    groups = chosen_groups(probe.queries, policy)
    return PairedScores(baseline, candidate, units_of(probe, policy), groups)


@dataclass(frozen=True, slots=True)
class _Bench:
    pair: Pair
    probe: Probe
    policy: Policy

    def cell(
        self, queries: Float32Array, items: SearchedItems, contract: Contract, *, top_k: int = 0
    ) -> RankingScores:
        """Measure some vectors of the queries as if the candidate had made them."""
        units = units_of(self.probe, self.policy)
        return measure_cell(
            queries,
            self.probe.queries,
            items,
            contract=contract,
            metric=self.pair.metric,
            ks=metric_ks(self.policy),
            top_k=top_k,
            rules=score_rules(self.policy, units, with_curve=top_k > 0),
        )

    def old_again(self, old_items: SearchedItems) -> RankingScores:
        """Measure the old model once more, as the candidate."""
        vectors = self.probe.vectors_of(self.pair.baseline_version).vectors
        return self.cell(vectors, old_items, Contract(ContractKind.SAME_SPACE, vectors.shape[1]))


def _random(queries: Float32Array, rng: np.random.Generator) -> Float32Array:
    return rng.standard_normal(queries.shape, dtype=np.float32)


def _rotated(queries: Float32Array, rng: np.random.Generator) -> Float32Array:
    dim = queries.shape[1]
    rotation, _ = np.linalg.qr(rng.standard_normal((dim, dim)))
    return np.ascontiguousarray(queries @ rotation.astype(np.float32))


def _served(
    pair: Pair, probe: Probe, items: SearchedItems, targets: Sequence[SearchTarget]
) -> Float64Array:
    """Return hit@1 of each query by the search that will serve."""
    queries = probe.vectors_of(pair.asked_by).vectors
    found = find_served(targets, queries, probe.queries, items, pair.metric, depth=1)
    return found[:, 0].astype(np.float64)
