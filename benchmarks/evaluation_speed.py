"""Cost of a whole evaluation, relative to the raw search that it contains.

    python benchmarks/evaluation_speed.py                         # 10,000 × 1,000,000 × 128: long
    python benchmarks/evaluation_speed.py --queries 2000 --gallery 200000
    python benchmarks/evaluation_speed.py --queries 1000 --relevant 1000 --noise 2

On the same vectors, in turn and several times, with the same number of threads, first one and then
as many as there are cores, each in a process of its own:

search      FAISS's exact search alone: IndexFlatIP, k = 10.
products    the same inner products by NumPy's BLAS with its own threads, in pieces of our size.
evaluation  ours: ranks of all relevant items, all metrics, the first 10 items, and a bound of the
            mean difference of AP from 10,000 resamples.
bound       that bound alone, which is part of the evaluation.
full_sort   a loop over queries, each with a full argsort of its scores; on some queries only, and
            multiplied up to all of them.

`--noise` says how far items are from their class's centre, and with it how low relevant items are
ranked: each one given is measured. Against fast wrong answers: our first 10 items must be FAISS's,
and AP must be what the loop finds, or nothing is reported. Seconds are the clock's, `cpu_seconds`
the processor's: on a busy machine ratios of the latter mean more. `evaluation_peak_mib` is how much
more memory the process had during an evaluation than before it. Prints one JSON object for each
noise and keeps it under ``benchmarks/results``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TypeVar

import faiss
import numpy as np

from benchmarks.measuring import report
from compat.evaluation import RankingScores, Relevance, score_rankings
from compat.evaluation._scoring import CHUNK, PAD, ROWS
from compat.stats.bounds import paired_difference_bounds
from registry.arrays import Float32Array, Float64Array, Int64Array

TOP = 10
SORTED = 20  # queries that the loop sorts
NEAR = 1e-4  # float32 and the order of near equals
AIM = 1.2  # what an evaluation may cost relative to the search

Times = dict[str, dict[str, list[float]]]
Found = TypeVar("Found")


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


@dataclass(frozen=True)
class World:
    """Vectors and their labels."""

    sizes: Sizes
    queries: Float32Array
    gallery: Float32Array
    asked: Int64Array
    held: Int64Array


def make_world(sizes: Sizes) -> World:
    """Return unit vectors around class centres, and labels."""
    rng = np.random.default_rng(sizes.seed)
    n_classes = max(1, sizes.gallery // sizes.relevant)
    centres = rng.standard_normal((n_classes, sizes.dim), dtype=np.float32)
    held = rng.permutation(np.arange(sizes.gallery, dtype=np.int64) % n_classes)
    asked = rng.integers(0, n_classes, sizes.queries)

    def near(labels: Int64Array) -> Float32Array:
        vectors = centres[labels]
        for start in range(0, len(vectors), CHUNK):
            part = vectors[start : start + CHUNK]
            part += sizes.noise * rng.standard_normal(part.shape, dtype=np.float32)
            part /= np.linalg.norm(part, axis=1, keepdims=True)
        return vectors

    return World(sizes, near(asked), near(held), asked, held)


def bound(average_precision: Float64Array, sizes: Sizes) -> None:
    """Bound a mean difference of AP."""
    paired_difference_bounds(
        average_precision[::-1],
        average_precision,
        np.arange(len(average_precision)),
        n_resamples=sizes.resamples,
        rng=np.random.default_rng(sizes.seed),
    )


def evaluate(world: World, n_threads: int) -> RankingScores:
    """Score everything, and bound a difference."""
    relevance = Relevance.from_labels(world.asked, world.held)
    found = score_rankings(world.queries, world.gallery, relevance, top_k=TOP, n_threads=n_threads)
    bound(found.average_precision, world.sizes)
    return found


def multiply(world: World) -> None:
    """Take the inner products in pieces, and nothing else."""
    room = np.empty((ROWS, CHUNK + PAD), dtype=np.float32)
    for first in range(0, len(world.gallery), CHUNK):
        chunk = world.gallery[first : first + CHUNK]
        for start in range(0, len(world.queries), ROWS):
            queries = world.queries[start : start + ROWS]
            np.matmul(queries, chunk.T, out=room[: len(queries), : len(chunk)])


def sort_all(world: World, n_queries: int) -> Float64Array:
    """Return AP of the first queries, by sorting all of their scores."""
    found = []
    for query, label in zip(world.queries[:n_queries], world.asked[:n_queries], strict=True):
        matches = (world.held == label)[np.argsort(-(world.gallery @ query))]
        ranks = np.flatnonzero(matches) + 1
        found.append(np.mean(np.arange(1, len(ranks) + 1) / ranks))
    return np.array(found)


def measure(sizes: Sizes) -> dict[str, object]:
    """Time all in this process, with the threads that it was started with."""
    world, n_threads = make_world(sizes), faiss.omp_get_max_threads()
    index = faiss.IndexFlatIP(sizes.dim)
    index.add(world.gallery)
    times: Times = {}
    peaks: list[float] = []
    few = min(SORTED, sizes.queries)
    for _ in range(sizes.repeats):
        before = _reset_peak_mib()
        found = timed(lambda: evaluate(world, n_threads), "evaluation", times)
        peaks.append(_memory_mib("VmHWM") - before)
        searched = timed(lambda: index.search(world.queries, TOP), "search", times)
        timed(lambda: multiply(world), "products", times)
        timed(partial(bound, found.average_precision, sizes), "bound", times)
        sorted_ap = timed(lambda: sort_all(world, few), "full_sort", times)
    ratio = _over_search(times, "evaluation")
    whole = median(times["full_sort"]["cpu_seconds"]) * sizes.queries / few
    return {
        "threads": n_threads,
        "mAP": float(found.average_precision.mean()),
        "evaluation_over_search": ratio,
        "aim": AIM,
        "is_met": ratio["seconds"] <= AIM,
        "products_over_search": _over_search(times, "products"),
        "bound_over_search": _over_search(times, "bound"),
        "full_sort_on_queries": few,
        "full_sort_over_evaluation_cpu": round(whole / median(times["evaluation"]["cpu_seconds"])),
        "evaluation_peak_mib": round(max(peaks), 1),
        "checks": _checks(found, searched, sorted_ap),
        "times": times,
    }


def timed(run: Callable[[], Found], name: str, times: Times) -> Found:
    """Run, and keep seconds of the clock and of the processor."""
    began, began_cpu = time.perf_counter(), time.process_time()
    found = run()
    into = times.setdefault(name, {})
    into.setdefault("seconds", []).append(round(time.perf_counter() - began, 3))
    into.setdefault("cpu_seconds", []).append(round(time.process_time() - began_cpu, 3))
    return found


def _over_search(times: Times, name: str) -> dict[str, float]:
    """Return the median over rounds of the ratio to the search of the same round."""
    return {
        kind: round(
            median(t / s for t, s in zip(times[name][kind], times["search"][kind], strict=True)), 3
        )
        for kind in ("seconds", "cpu_seconds")
    }


def _reset_peak_mib() -> float:
    """Let the process's peak be what it has now, and return that. Linux only."""
    Path("/proc/self/clear_refs").write_text("5")
    return _memory_mib("VmRSS")


def _memory_mib(name: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise OSError(f"/proc/self/status does not say {name}")


def _checks(
    found: RankingScores, searched: tuple[Float32Array, Int64Array], sorted_ap: Float64Array
) -> dict[str, float]:
    if found.top is None:
        raise TypeError("the evaluation returned no first items")
    scores, positions = searched
    ours = found.average_precision[: len(sorted_ap)]
    checks = {
        "share_of_first_items_as_faiss": float(np.mean(found.top.positions == positions)),
        "largest_score_difference": float(np.abs(found.top.scores - scores).max()),
        "largest_ap_difference": float(np.abs(ours - sorted_ap).max()),
        "hit@1": float(found.hit[1].mean()),
    }
    is_right = (
        checks["share_of_first_items_as_faiss"] > 0.999  # near equals may change places
        and checks["largest_score_difference"] < NEAR
        and checks["largest_ap_difference"] < NEAR
    )
    if not is_right:
        raise ArithmeticError(f"the evaluation is wrong: {checks}")
    return checks


def main() -> int:
    """Measure with one thread and with all, at each noise, and report all."""
    parser = argparse.ArgumentParser(description="cost of an evaluation relative to raw search")
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--gallery", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--relevant", type=int, default=10, help="items of a class")
    parser.add_argument("--noise", type=float, nargs="+", default=[1.0, 1.4, 1.8])
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--here", action="store_true", help="measure in this process only")
    given = vars(parser.parse_args())
    is_here, noises = given.pop("here"), given.pop("noise")
    worlds = [Sizes(noise=noise, **given) for noise in noises]
    if is_here:
        print(json.dumps([measure(sizes) for sizes in worlds]))
        return 0
    for sizes in worlds:  # each is kept when it is done: all of them take an hour
        runs = [_in_a_process(sizes, n) for n in sorted({1, os.cpu_count() or 1})]
        data = f"{sizes.queries}_{sizes.gallery}_{sizes.relevant}_{sizes.noise:g}"
        report(f"evaluation_speed_{data}", {"sizes": asdict(sizes), "runs": runs})
    return 0


def _in_a_process(sizes: Sizes, n_threads: int) -> dict[str, object]:
    options = [f"--{name}={value}" for name, value in asdict(sizes).items()]
    done = subprocess.run(  # noqa: S603 -- this very file
        [sys.executable, __file__, "--here", *options],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=os.environ
        | {"OMP_NUM_THREADS": str(n_threads), "OPENBLAS_NUM_THREADS": str(n_threads)},
    )
    found: dict[str, object] = json.loads(done.stdout)[0]
    return found


if __name__ == "__main__":
    sys.exit(main())
