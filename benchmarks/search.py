"""Registry search against raw FAISS on the same index file.

Usage: python benchmarks/search.py [--n 100000] [--dim 128] [--repeats 15]
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from benchmarks.measuring import lowest, report, side_by_side
from registry import Embeddings, Registry, SpaceDescription

K = 10


@dataclass(frozen=True)
class Bench:
    """A gallery of random vectors, and raw FAISS on the very index file that it serves from."""

    registry: Registry
    raw: Any
    batch: Embeddings
    singles: list[Embeddings]

    def raw_batch(self) -> None:
        """Normalise and search, as anybody would by hand."""
        queries = self.batch.vectors
        self.raw.search(queries / np.linalg.norm(queries, axis=1, keepdims=True), K)

    def our_batch(self) -> None:
        """Search through the registry."""
        self.registry.search("g", self.batch, K)

    def raw_singles(self) -> None:
        """Search one by one by hand."""
        for one in self.singles:
            self.raw.search(one.vectors / np.linalg.norm(one.vectors, axis=1, keepdims=True), K)

    def our_singles(self) -> None:
        """Search one by one through the registry."""
        for one in self.singles:
            self.registry.search("g", one, K)

    def same_ids(self) -> float:
        """Return the share of equal hits."""
        queries = self.batch.vectors
        unit = queries / np.linalg.norm(queries, axis=1, keepdims=True)
        return float(
            np.mean(self.registry.search("g", self.batch, K).ids == self.raw.search(unit, K)[1])
        )


def make(registry: Registry, n: int, dim: int, n_singles: int) -> Bench:
    """Fill and seal a gallery."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((n, dim), dtype=np.float32)
    queries = rng.standard_normal((1_000, dim), dtype=np.float32)
    space = SpaceDescription({}, {}, normalised=False, dim=dim)
    version = registry.models.register_vectors("m", space, {"by": "one"}).version
    registry.galleries.create("g", "m@1")
    registry.add("g", Embeddings(np.arange(n), vectors, version))
    (segment,) = registry.galleries.seal("g")
    if segment.index is None:
        raise RuntimeError("the segment has no index")
    path = str(registry.storage / segment.index.path)
    return Bench(
        registry,
        faiss.read_index(path, faiss.IO_FLAG_MMAP_IFC),
        Embeddings.numbered(queries, version),
        [Embeddings.numbered(queries[i : i + 1], version) for i in range(n_singles)],
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--singles", type=int, default=200)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        Registry.create(Path(folder) / "registry", keys=Path(folder) / "keys") as registry,
    ):
        bench = make(registry, options.n, options.dim, options.singles)
        same = bench.same_ids()
        (raw_s, our_s), (_, ratio) = side_by_side(
            [bench.raw_batch, bench.our_batch], options.repeats
        )
        raw_1, our_1 = lowest([bench.raw_singles, bench.our_singles], options.repeats)
    report(
        "search" if options.n == 100_000 else f"search_{options.n}",
        {
            "data": f"random float32, {options.n} x {options.dim}, FAISS Flat, cosine, k={K}",
            "repeats": options.repeats,
            "same_ids": same,
            "batch_of_1000": {"raw_s": raw_s, "samespace_s": our_s, "ratio": ratio},
            "single_query": {
                "raw_ms": 1e3 * raw_1 / options.singles,
                "samespace_ms": 1e3 * our_1 / options.singles,
                "added_ms": 1e3 * (our_1 - raw_1) / options.singles,
            },
        },
    )


if __name__ == "__main__":
    main()
