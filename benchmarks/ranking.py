"""Time `score_rankings` beside evaluators as they are written elsewhere, on the same data.

    python benchmarks/ranking.py            # 10,000 × 10,000 × 128, some minutes
    python benchmarks/ranking.py --n 2000

The data are as in a CIFAR-100 test set: 100 classes, queries are the gallery, each query leaves
itself out. All evaluators compute AP, CMC-1, -5 and -10 of every query.

as_published  the work that openBCT's evaluator does (and, up to one argsort, BT-2's): CMC and mAP
              in two passes, each with its own argsort of the full distance matrix and a Python loop
              over queries; each query compares the whole label lists to learn whether the gallery
              is the query set, and calls scikit-learn's average_precision_score.
naive         the same without the obvious waste: one pass, one argsort, no label lists.
full_sort     the same matrix and argsort, then AP from cumulative sums without a Python loop, a
              thousand queries at a time: the strongest simple thing.

Prints one JSON object and keeps it under ``benchmarks/results``: seconds on the clock, and of
processor time beside them, which tell how busy the machine was otherwise. Against fast wrong
answers: AP and CMC of all four must agree to 1e-9 on every query without ties, or the script fails.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median

import numpy as np
from sklearn.metrics import average_precision_score

from benchmarks.measuring import report
from compat.evaluation import Relevance, score_rankings
from registry.arrays import Float32Array, Float64Array, Int64Array

KS = (1, 5, 10)
N_CLASSES = 100
Scores = dict[str, Float64Array]
Timing = dict[str, list[float]]


def make_data(n: int, dim: int, seed: int) -> tuple[Float32Array, Int64Array]:
    """Return unit vectors around class centres and their labels, in random order."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n, dtype=np.int64) % N_CLASSES)
    centres = rng.standard_normal((N_CLASSES, dim))
    vectors = centres[labels] + 3.0 * rng.standard_normal((n, dim))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), labels


def as_published(vectors: Float32Array, labels: Int64Array) -> Scores:
    """Evaluate with the work that openBCT does: CMC, then mAP, each from scratch."""
    distances = -(vectors @ vectors.T)
    return {**_published_cmc(distances, labels), "mAP": _published_ap(distances, labels)}


def _published_cmc(distances: Float32Array, labels: Int64Array) -> Scores:
    hits = {f"hit@{k}": np.zeros(len(labels)) for k in KS}
    order = np.argsort(distances, axis=1)
    for i in range(len(labels)):
        first = int(np.argmax(labels[_others(order[i], i, labels)] == labels[i]))
        for k in KS:
            hits[f"hit@{k}"][i] = first < k
    return hits


def _published_ap(distances: Float32Array, labels: Int64Array) -> Float64Array:
    aps = np.zeros(len(labels))
    order = np.argsort(distances, axis=1)
    for i in range(len(labels)):
        ranked = _others(order[i], i, labels)
        aps[i] = average_precision_score(labels[ranked] == labels[i], -distances[i][ranked])
    return aps


def _others(order: Int64Array, i: int, labels: Int64Array) -> Int64Array:
    """Drop the query, if the gallery turns out to be the query set."""
    query_labels, gallery_labels = labels, labels
    return order[order != i] if list(query_labels) == list(gallery_labels) else order


def naive(vectors: Float32Array, labels: Int64Array) -> Scores:
    """Evaluate in one pass with a Python loop over queries."""
    distances = -(vectors @ vectors.T)
    order = np.argsort(distances, axis=1)
    n = len(vectors)
    scores = {name: np.zeros(n) for name in ("mAP", *(f"hit@{k}" for k in KS))}
    for i in range(n):
        ranked = order[i][order[i] != i]
        matches = labels[ranked] == labels[i]
        first = int(np.argmax(matches))
        for k in KS:
            scores[f"hit@{k}"][i] = first < k
        scores["mAP"][i] = average_precision_score(matches, -distances[i][ranked])
    return scores


def full_sort(vectors: Float32Array, labels: Int64Array) -> Scores:
    """Evaluate by a full argsort and cumulative sums."""
    order = np.argsort(-(vectors @ vectors.T), axis=1)
    n = len(vectors)
    scores = {name: np.zeros(n) for name in ("mAP", *(f"hit@{k}" for k in KS))}
    for start in range(0, n, 1000):
        rows = np.arange(start, min(start + 1000, n))
        ranked = order[rows]
        ranked = ranked[ranked != rows[:, None]].reshape(len(rows), n - 1)
        matches = labels[ranked] == labels[rows, None]
        precision = np.cumsum(matches, axis=1) / np.arange(1, n)
        scores["mAP"][rows] = (precision * matches).sum(axis=1) / matches.sum(axis=1)
        for k in KS:
            scores[f"hit@{k}"][rows] = matches[:, :k].any(axis=1)
    return scores


def ours(vectors: Float32Array, labels: Int64Array) -> Scores:
    """Evaluate with samespace."""
    relevance = Relevance.from_labels(labels, labels)
    itself = np.arange(len(labels), dtype=np.int64)
    found = score_rankings(vectors, vectors, relevance, ks=KS, excluded=itself)
    return {name: found.metric(name) for name in ("mAP", *(f"hit@{k}" for k in KS))}


def timed(
    evaluators: Sequence[Callable[[Float32Array, Int64Array], Scores]],
    vectors: Float32Array,
    labels: Int64Array,
    repeats: int,
) -> tuple[dict[str, Scores], dict[str, Timing]]:
    """Return what the evaluators find, and how long each takes in each round, one after another."""
    found: dict[str, Scores] = {}
    timing: dict[str, Timing] = {e.__name__: {"seconds": [], "cpu_seconds": []} for e in evaluators}
    for _ in range(repeats):
        for evaluate in evaluators:
            began, began_cpu = time.perf_counter(), time.process_time()
            found[evaluate.__name__] = evaluate(vectors, labels)
            took = timing[evaluate.__name__]
            took["seconds"].append(round(time.perf_counter() - began, 3))
            took["cpu_seconds"].append(round(time.process_time() - began_cpu, 3))
    return found, timing


def untied(vectors: Float32Array, labels: Int64Array) -> Int64Array:
    """Return the queries none of whose relevant items scores exactly like another item.

    On the others there is nothing to equal: an argsort picks an arbitrary order, and scikit-learn
    takes equal scores as one step.
    """
    kept = []
    for start in range(0, len(vectors), 1000):
        for i, row in enumerate(vectors[start : start + 1000] @ vectors.T, start):
            others = np.arange(len(row)) != i
            scores, counts = np.unique(row[others], return_counts=True)
            relevant = row[others & (labels == labels[i])]
            if not np.isin(relevant, scores[counts > 1]).any():
                kept.append(i)
    return np.array(kept, dtype=np.int64)


def largest_differences(
    found: dict[str, Scores], vectors: Float32Array, labels: Int64Array
) -> tuple[int, dict[str, float]]:
    """Return how many queries can be compared, and by how much the others differ from ours."""
    rows = untied(vectors, labels)
    return len(rows), {
        f"{name} {metric}": float(np.abs(found["ours"][metric][rows] - scores[metric][rows]).max())
        for name, scores in found.items()
        for metric in scores
        if name != "ours"
    }


def times_as_fast(timing: dict[str, Timing]) -> dict[str, float]:
    """Return how many times as fast as each of the others we are: the median over the rounds."""
    ours_s = timing["ours"]["seconds"]
    return {
        name: round(median(s / o for s, o in zip(times["seconds"], ours_s, strict=True)), 1)
        for name, times in timing.items()
        if name != "ours"
    }


def main() -> int:
    """Run the four evaluators and print what they took."""
    parser = argparse.ArgumentParser(description="time ranking evaluation")
    parser.add_argument("--n", type=int, default=10_000, help="queries and gallery items")
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=3, help="rounds of all four")
    given = parser.parse_args()
    vectors, labels = make_data(given.n, given.dim, given.seed)
    evaluators = (ours, full_sort, naive, as_published)
    found, timing = timed(evaluators, vectors, labels, given.repeats)
    n_compared, off = largest_differences(found, vectors, labels)
    report(
        "ranking" if given.n == 10_000 else f"ranking_{given.n}",
        {
            "data": f"{given.n} queries = gallery, each leaves itself out; dim {given.dim}, "
            f"{N_CLASSES} classes, seed {given.seed}",
            "mAP": float(found["ours"]["mAP"].mean()),
            "timing": timing,
            "times_as_fast_as": times_as_fast(timing),
            "queries_compared": n_compared,
            "largest_difference": off,
        },
    )
    return 0 if max(off.values()) <= 1e-9 else 1


if __name__ == "__main__":
    sys.exit(main())
