"""Registry search against raw FAISS on the same index file.

Usage: python benchmarks/search.py [--n 100000] [--dim 128] [--repeats 15]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import faiss
import numpy as np
from measuring import report, side_by_side

from registry import Embeddings, Registry, SpaceDescription

K = 10


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--singles", type=int, default=200)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((options.n, options.dim), dtype=np.float32)
    queries = rng.standard_normal((1_000, options.dim), dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder, Registry.create(folder) as registry:
        space = SpaceDescription({}, {}, normalised=False, dim=options.dim)
        version = registry.models.register_vectors("m", space, {"by": "one"}).version
        registry.galleries.create("g", "m@1")
        registry.add("g", Embeddings(np.arange(options.n), vectors, version))
        (segment,) = registry.galleries.seal("g")
        if segment.index is None:
            raise RuntimeError("the segment has no index")
        raw = faiss.read_index(str(Path(folder) / segment.index.path), faiss.IO_FLAG_MMAP_IFC)
        batch = Embeddings.numbered(queries, version)
        singles = [Embeddings.numbered(queries[i : i + 1], version) for i in range(options.singles)]
        unit = queries / np.linalg.norm(queries, axis=1, keepdims=True)

        def raw_batch() -> None:
            raw.search(queries / np.linalg.norm(queries, axis=1, keepdims=True), K)

        def raw_singles() -> None:
            for i in range(options.singles):
                raw.search(unit[i : i + 1], K)

        def ours_singles() -> None:
            for one in singles:
                registry.search("g", one, K)

        found = registry.search("g", batch, K)
        _, expected = raw.search(unit, K)
        same = float(np.mean(found.ids == expected))
        (raw_s, ours_s), (_, batch_ratio) = side_by_side(
            [raw_batch, lambda: registry.search("g", batch, K)], options.repeats
        )
        (raw_1, ours_1), _ = side_by_side([raw_singles, ours_singles], options.repeats)
    report(
        "search",
        {
            "data": f"random float32, {options.n} x {options.dim}, FAISS Flat, cosine, k={K}",
            "repeats": options.repeats,
            "same_ids": same,
            "batch_of_1000": {"raw_s": raw_s, "samespace_s": ours_s, "ratio": batch_ratio},
            "single_query": {
                "raw_ms": 1e3 * raw_1 / options.singles,
                "samespace_ms": 1e3 * ours_1 / options.singles,
                "added_ms": 1e3 * (ours_1 - raw_1) / options.singles,
            },
        },
    )


if __name__ == "__main__":
    main()
