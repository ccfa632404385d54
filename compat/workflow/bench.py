"""Where measuring happens, and what it found: shared by all that measures and tells."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from compat.cells import SearchedItems, measure_cell
from compat.evaluation.ranking import RankingScores
from compat.matrix import ByMetric, cell_name
from compat.probes import Probe
from compat.score_metrics import ScoreRules, score_rules
from registry.arrays import LabelArray
from registry.domain.contracts import Contract
from registry.domain.galleries import Gallery
from registry.domain.policies import Policy
from registry.domain.refs import VersionRef
from registry.domain.versions import ModelVersion
from registry.service import Registry

from .pairs import Study, hits_depth, metric_ks, units_of
from .trained_on import Trained


@dataclass(slots=True)
class Measured:
    """All that was measured of a candidate against one old version.

    Attributes:
        forward: the candidate's queries on the old vectors.
        back: old queries on the candidate's vectors, or None if that was not measured.
        cells: per-query scores by ``query version -> gallery version``, of exact search.
        served: what the gallery's own index finds, by a cell's name, unless it is exact.
        item_ids: ids of the items that were searched.
        gallery_digest: digest of the vectors that were searched.
        gallery: the gallery as it was when its vectors were read.
    """

    forward: Study
    back: Study | None
    gallery: Gallery
    cells: dict[str, RankingScores] = field(default_factory=dict)
    item_ids: LabelArray = field(default_factory=lambda: np.empty(0, np.int64))
    gallery_digest: str = ""
    served: dict[str, ByMetric] = field(default_factory=dict)

    @property
    def baseline(self) -> str:
        """The cell that all are held against."""
        old = self.forward.pair.baseline_version
        return cell_name(old, old)

    @property
    def pair_versions(self) -> tuple[VersionRef, VersionRef]:
        """The old version, whose vectors are stored, and the candidate."""
        pair = self.forward.pair
        return pair.gallery_version, pair.query_version

    @property
    def by_metric(self) -> dict[str, ByMetric]:
        """The per-query numbers of every cell."""
        exact = {cell: scores.by_name for cell, scores in self.cells.items()}
        return {**exact, **self.served}


@dataclass(frozen=True, slots=True)
class Bench:
    """Where measuring happens.

    Attributes:
        registry: an open registry.
        gallery: name of the gallery.
        probe: the labelled queries.
        policy: the rules by which this attempt is decided.
        trained: what is known of the candidate's training data.
    """

    registry: Registry
    gallery: str
    probe: Probe
    policy: Policy
    trained: Trained

    def cell(self, query: ModelVersion, items: SearchedItems, contract: Contract) -> RankingScores:
        """Measure one version's queries on some items."""
        return measure_cell(
            self.probe.vectors_of(query.ref).vectors,
            self.probe.queries,
            items,
            contract=contract,
            metric=self.registry.galleries.get(self.gallery).metric,
            ks=metric_ks(self.policy),
            top_k=hits_depth(self.probe, self.policy),
            rules=self.rules,
        )

    @property
    def rules(self) -> ScoreRules | None:
        """What the policy asks of scores, if anything."""
        return score_rules(self.policy, units_of(self.probe, self.policy))
