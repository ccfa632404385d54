"""Five segments searched one after another, as the registry does, against a thread for each.

FAISS lets other threads run while it searches, so threads could help where it leaves cores idle.
A batch of queries it spreads over all cores itself.

Usage: python benchmarks/segments.py [--items 2000 20000 200000] [--repeats 30]
"""

from __future__ import annotations

import argparse
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.measuring import lowest, report
from registry import Embeddings, Metric, Registry, SpaceDescription, VersionRef
from registry.arrays import Float32Array
from registry.domain.calibration import AS_IT_IS
from registry.domain.contracts import Contract, ContractKind
from registry.galleries.merging import merge
from registry.galleries.search import SearchTarget, search_segments

N_SEGMENTS, DIM, K = 5, 128, 10


def threaded(
    pool: ThreadPoolExecutor, targets: list[SearchTarget], queries: Float32Array
) -> object:
    """Search every segment in a thread of its own."""
    parts = pool.map(lambda one: search_segments([one], queries, K, Metric.COSINE), targets)
    return merge(list(parts), [AS_IT_IS] * len(targets), K)


def run(folder: Path, n: int, repeats: int, pool: ThreadPoolExecutor) -> dict[str, object]:
    """Time both on segments of n items."""
    rng = np.random.default_rng(0)
    with Registry.create(folder / "registry", keys=folder / "keys") as registry:
        space = SpaceDescription({}, {}, normalised=False, dim=DIM)
        version = registry.models.register_vectors("m", space, {"by": "one"}).version
        registry.galleries.create("g", version.ref)
        for i in range(N_SEGMENTS):
            vectors = rng.standard_normal((n, DIM), dtype=np.float32)
            registry.add("g", Embeddings(np.arange(n) + i * n, vectors, version))
            registry.galleries.seal("g")
        same = Contract(ContractKind.SAME_SPACE, DIM)
        readers = registry.galleries.readers("g", VersionRef("m", 1))
        targets = [SearchTarget(reader, same, 1) for reader in readers]
        found: dict[str, object] = {}
        for n_queries in (1, 100):
            queries = rng.standard_normal((n_queries, DIM), dtype=np.float32)
            in_turn = partial(search_segments, targets, queries, K, Metric.COSINE)
            at_once = partial(threaded, pool, targets, queries)
            one, other = lowest([in_turn, at_once], repeats)
            found[f"{n_queries} queries"] = {
                "in_turn_ms": 1e3 * one,
                "threads_ms": 1e3 * other,
                "ratio": other / one,
            }
    return found


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, nargs="+", default=[2_000, 20_000, 200_000])
    parser.add_argument("--repeats", type=int, default=30)
    options = parser.parse_args()
    found = {}
    with ThreadPoolExecutor(N_SEGMENTS) as pool:
        for n in options.items:
            with tempfile.TemporaryDirectory() as folder:
                found[f"{N_SEGMENTS} x {n}"] = run(Path(folder), n, options.repeats, pool)
    report("segments", {"data": f"random float32, {DIM} dimensions, FAISS Flat, k={K}", **found})


if __name__ == "__main__":
    main()
