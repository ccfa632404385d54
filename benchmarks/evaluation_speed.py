"""Cost of a whole evaluation, relative to the raw search that it contains.

    python benchmarks/evaluation_speed.py                       # 10,000 × 1,000,000 × 128: long
    python benchmarks/evaluation_speed.py --queries 2000 --gallery 200000

Three things on the same vectors, in turn, with the same number of threads, first one and then as
many as there are cores, each in a process of its own:

search      FAISS's exact search alone: IndexFlatIP, k = 10.
evaluation  ours: ranks of all relevant items, all metrics, the first 10 items, and a bound of the
            mean difference of AP from 10,000 resamples.
full_sort   a loop over queries, each with a full argsort of its scores; on some queries only, and
            multiplied up to all of them.

Against fast wrong answers: our first 10 items must be FAISS's, and AP must be what the loop finds.
Seconds are the clock's, `cpu_seconds` the processor's: on a busy machine ratios of the latter mean
more. Prints one JSON object and keeps it under ``benchmarks/results``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median

import faiss
import numpy as np

from benchmarks.measuring import report
from compat.evaluation import RankingScores, Relevance, score_rankings
from compat.stats.bounds import paired_difference_bounds
from registry.arrays import Float32Array, Float64Array, Int64Array

TOP = 10
SORTED = 20  # queries that the loop sorts


@dataclass(frozen=True)
class Sizes:
    """What is measured: of `relevant` items a class, `noise` says how hard they are to find."""

    queries: int
    gallery: int
    dim: int
    relevant: int
    noise: float
    resamples: int
    repeats: int
    seed: int


def make_data(sizes: Sizes) -> tuple[Float32Array, Float32Array, Int64Array, Int64Array]:
    """Return unit vectors around class centres, and labels: queries, gallery, asked, held."""
    rng = np.random.default_rng(sizes.seed)
    n_classes = max(1, sizes.gallery // sizes.relevant)
    centres = rng.standard_normal((n_classes, sizes.dim), dtype=np.float32)
    held = rng.permutation(np.arange(sizes.gallery, dtype=np.int64) % n_classes)
    asked = rng.integers(0, n_classes, sizes.queries)

    def near(labels: Int64Array) -> Float32Array:
        vectors = centres[labels]
        vectors += sizes.noise * rng.standard_normal(vectors.shape, dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    return near(asked), near(held), asked, held


def evaluate(
    queries: Float32Array, gallery: Float32Array, relevance: Relevance, sizes: Sizes
) -> RankingScores:
    """Score everything, and bound a difference."""
    found = score_rankings(queries, gallery, relevance, top_k=TOP)
    paired_difference_bounds(
        found.average_precision[::-1],
        found.average_precision,
        np.arange(len(queries)),
        n_resamples=sizes.resamples,
        rng=np.random.default_rng(sizes.seed),
    )
    return found


def sort_all(
    queries: Float32Array, gallery: Float32Array, asked: Int64Array, held: Int64Array
) -> Float64Array:
    """Return AP by sorting every query's scores."""
    found = []
    for query, label in zip(queries, asked, strict=True):
        matches = (held == label)[np.argsort(-(gallery @ query))]
        ranks = np.flatnonzero(matches) + 1
        found.append(np.mean(np.arange(1, len(ranks) + 1) / ranks))
    return np.array(found)


def timed(run: Callable[[], object], into: dict[str, list[float]]) -> object:
    """Run, and keep seconds of the clock and of the processor."""
    began, began_cpu = time.perf_counter(), time.process_time()
    found = run()
    into.setdefault("seconds", []).append(round(time.perf_counter() - began, 3))
    into.setdefault("cpu_seconds", []).append(round(time.process_time() - began_cpu, 3))
    return found


def measure(sizes: Sizes) -> dict[str, object]:
    """Time all three in this process, with the threads that it was started with."""
    queries, gallery, asked, held = make_data(sizes)
    relevance = Relevance.from_labels(asked, held)
    index = faiss.IndexFlatIP(sizes.dim)
    index.add(gallery)
    times: dict[str, dict[str, list[float]]] = {"search": {}, "evaluation": {}, "full_sort": {}}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    few = min(SORTED, len(queries))
    for _ in range(sizes.repeats):
        found = timed(lambda: evaluate(queries, gallery, relevance, sizes), times["evaluation"])
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        searched = timed(lambda: index.search(queries, TOP), times["search"])
        sorted_ap = timed(
            lambda: sort_all(queries[:few], gallery, asked[:few], held), times["full_sort"]
        )
    ratios = {
        kind: round(
            median(
                e / s for e, s in zip(times["evaluation"][kind], times["search"][kind], strict=True)
            ),
            3,
        )
        for kind in ("seconds", "cpu_seconds")
    }
    whole = median(times["full_sort"]["cpu_seconds"]) * len(queries) / few
    return {
        "threads": faiss.omp_get_max_threads(),
        "times": times,
        "evaluation_over_search": ratios,
        "full_sort_on_queries": few,
        "full_sort_over_evaluation_cpu": round(whole / median(times["evaluation"]["cpu_seconds"])),
        "evaluation_added_mib": round((after - before) / 1024, 1),
        "checks": _checks(found, searched, sorted_ap),
    }


def _checks(found: object, searched: object, sorted_ap: object) -> dict[str, float]:
    if not isinstance(found, RankingScores) or found.top is None or not isinstance(searched, tuple):
        raise TypeError("the evaluation returned something else")
    few = np.asarray(sorted_ap)
    return {
        "share_of_first_items_as_faiss": float(np.mean(found.top.positions == searched[1])),
        "largest_score_difference": float(np.abs(found.top.scores - searched[0]).max()),
        "largest_ap_difference": float(np.abs(found.average_precision[: len(few)] - few).max()),
        "mAP": float(found.average_precision.mean()),
        "hit@1": float(found.hit[1].mean()),
    }


def main() -> int:
    """Measure with one thread and with all, and report both."""
    parser = argparse.ArgumentParser(description="cost of an evaluation relative to raw search")
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--gallery", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--relevant", type=int, default=10, help="items of a class")
    parser.add_argument("--noise", type=float, default=1.0, help="around a class's centre")
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--here", action="store_true", help="measure in this process only")
    given = vars(parser.parse_args())
    is_here = given.pop("here")
    sizes = Sizes(**given)
    if is_here:
        print(json.dumps(measure(sizes)))
        return 0
    runs = [_in_a_process(sizes, n) for n in sorted({1, os.cpu_count() or 1})]
    report(
        f"evaluation_speed_{sizes.queries}_{sizes.gallery}", {"sizes": asdict(sizes), "runs": runs}
    )
    return 0


def _in_a_process(sizes: Sizes, n_threads: int) -> dict[str, object]:
    options = [f"--{name}={value}" for name, value in asdict(sizes).items()]
    done = subprocess.run(  # noqa: S603 -- this very file
        [sys.executable, __file__, "--here", *options],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ
        | {"OMP_NUM_THREADS": str(n_threads), "OPENBLAS_NUM_THREADS": str(n_threads)},
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    sys.exit(main())
