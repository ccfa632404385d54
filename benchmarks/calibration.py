"""Mixed galleries merged raw and calibrated, and what becomes of a threshold, on Omniglot.

Three models as in the demo: an old one, a compatible one, and one that was trained independently.
The last can only be merged by its own encoder: old queries on old vectors, new ones on new.
Calibrated numbers are those of queries of the half of the characters that no map was fitted to;
"served" are those of the maps that serve, which are fitted to all.

Usage: python benchmarks/calibration.py [--seed 0]
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.demo_seeds import embed, train
from benchmarks.measuring import report
from cli.demo.files import write_files
from compat.calibration import DEPTH, Judged, QueryMaps
from compat.cells import SearchedItems, measure_cell, relevance_of
from compat.evaluation.ranking import RankingScores
from compat.mixing import MixedItems, MixedQueries, measure_mixed, nest_shares
from compat.probes import Labels, Probe
from compat.workflow.merging import Merge, merge_parts
from registry import Contract, ContractKind, Embeddings, Metric, Registry
from registry.arrays import Float32Array
from registry.domain.calibration import AS_IT_IS, ScoreMap
from registry.domain.policies import Policy
from registry.vector_files import read_labels

POLICY = Policy()
QUANTILES = (0.9, 0.97, 0.99)


class Case:
    """One new model beside the old one, by one contract.

    Args:
        probe: queries of both versions, and the items embedded by the new one.
        items: the items, embedded by the old one.
        is_own: whether old vectors are searched by old queries.
    """

    def __init__(self, probe: Probe, items: SearchedItems, *, is_own: bool) -> None:
        if probe.reembedded is None:
            raise ValueError("the items were not embedded again")
        new = probe.reembedded
        (old,) = (q for ref, q in probe.query_vectors.items() if ref != new.version.ref)
        mine = probe.query_vectors[new.version.ref].vectors
        same = Contract(ContractKind.SAME_SPACE, old.version.dim)
        prefix = Contract(ContractKind.PREFIX, old.version.dim)
        to_new = Contract(ContractKind.SAME_SPACE, new.version.dim)
        self.probe, self.is_own = probe, is_own
        by = same if is_own else prefix
        self.queries = MixedQueries(old.vectors if is_own else mine, mine)
        nothing = np.zeros(len(items.ids), bool)
        self.items = MixedItems(items, new.vectors, nothing, by, to_new, Metric.COSINE)
        again = replace(items, blocks=[new.vectors])
        self.cells = {
            "old -> old": self._cell(old.vectors, items, same),
            "new -> old": self._cell(self.queries.on_old, items, by),
            "new -> new": self._cell(mine, again, to_new),
        }

    def _cell(
        self, queries: Float32Array, items: SearchedItems, contract: Contract
    ) -> RankingScores:
        return measure_cell(
            queries,
            self.probe.queries,
            items,
            contract=contract,
            metric=Metric.COSINE,
            ks=(1,),
            top_k=DEPTH,
        )

    def run(self) -> dict[str, object]:
        """Return means of every mixed gallery, the maps, and what becomes of thresholds."""
        reference, *pairs = self.cells
        merge = merge_parts(
            self.probe,
            POLICY,
            self.queries,
            self.items,
            self.cells[reference],
            {name: self.cells[name] for name in pairs},
        )
        return {
            "cells": {name: means(scores) for name, scores in self.cells.items()},
            "kept": "calibrated" if merge.raw else "raw",
            "maps": {name: found.to_json() for name, found in merge.maps.items()},
            "mixed": self._mixed(merge),
            "thresholds": self._thresholds(merge),
        }

    def _mixed(self, merge: Merge) -> dict[str, object]:
        shares = [f"{share:.0%}" for share in POLICY.mixed]
        raw = merge.raw or merge.found
        found: dict[str, object] = {"raw": dict(zip(shares, map(means, raw), strict=True))}
        if merge.raw:
            found["calibrated"] = dict(zip(shares, map(means, merge.found), strict=True))
            found["served"] = dict(zip(shares, self._served(merge), strict=True))
        return found

    def _served(self, merge: Merge) -> list[dict[str, float]]:
        n = len(self.queries.on_old)
        maps = [
            QueryMaps(np.full(n, one.scale), np.full(n, one.offset)) for one in merge.maps.values()
        ]
        queries = replace(self.queries, old_maps=maps[0], new_maps=maps[1])
        rng = np.random.default_rng([POLICY.seed, 2])
        return [
            means(
                measure_mixed(
                    queries, self.probe.queries, replace(self.items, is_new=is_new), ks=(1,)
                )
            )
            for is_new in nest_shares(len(self.items.new), POLICY.mixed, rng)
        ]

    def _thresholds(self, merge: Merge) -> list[dict[str, object]]:
        relevance = relevance_of(self.probe.queries, self.items.old)
        judged = {
            name: Judged.of(scores.top, relevance)
            for name, scores in self.cells.items()
            if scores.top is not None
        }
        old = judged["old -> old"].scores
        return [
            {
                "threshold": bound,
                "raw": {name: above(hits, AS_IT_IS, bound) for name, hits in judged.items()},
                "on the scale": {
                    name: above(judged[name], to_scale, bound)
                    for name, to_scale in merge.maps.items()
                },
            }
            for bound in (float(np.quantile(old, q)) for q in QUANTILES)
        ]


def means(scores: RankingScores) -> dict[str, float]:
    """Return mAP and hit@1."""
    return {
        "mAP": float(scores.average_precision.mean()),
        "hit@1": float(scores.hit[1].mean()),
    }


def above(hits: Judged, to_scale: ScoreMap, bound: float) -> dict[str, float]:
    """Return how many first hits a query has from a threshold on, and how many are relevant."""
    kept = to_scale.scale * hits.scores + to_scale.offset >= bound
    return {
        "hits_a_query": float(kept.sum() / len(kept)),
        "precision": float(hits.is_relevant[kept].mean()) if kept.any() else 0.0,
    }


def run(folder: Path, seed: int) -> dict[str, object]:
    """Train the three models and measure every case."""
    write_files(folder, seed=seed)
    asked, held = (read_labels(folder / f"{name}.npz") for name in ("queries", "gallery"))
    if asked.ids is None or held.ids is None:
        raise ValueError("the demo's files lack ids")
    with Registry.create(folder / "registry", keys=folder / "keys") as registry:
        names = ("v1", "v2", "independent")
        versions = {name: train(registry, folder / f"{name}.toml", seed) for name in names}
        queries = {n: embed(registry, v, folder / "queries.npz") for n, v in versions.items()}
        items = {n: embed(registry, v, folder / "gallery.npz") for n, v in versions.items()}
    searched = SearchedItems(held.ids, held.labels, [items["v1"].vectors])

    def probe(name: str) -> Probe:
        both: list[Embeddings] = [queries["v1"], queries[name]]
        return Probe(
            Labels(asked.ids, asked.labels),  # type: ignore[arg-type] # looked at above
            {one.version.ref: one for one in both},
            Labels(held.ids, held.labels),  # type: ignore[arg-type] # looked at above
            items[name],
        )

    return {
        "compatible model, first dimensions": Case(probe("v2"), searched, is_own=False).run(),
        "compatible model, own encoder": Case(probe("v2"), searched, is_own=True).run(),
        "independent model, own encoder": Case(probe("independent"), searched, is_own=True).run(),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder), options.seed)
    report(
        "calibration",
        {"data": "Omniglot as in the demo", "seed": options.seed, "top_hits": DEPTH, **found},
    )


if __name__ == "__main__":
    main()
