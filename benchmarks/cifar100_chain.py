"""Chains of upgrades on CIFAR-100, measured on CIFAR-10, whose classes nobody was trained on.

steps        10 steps of 10 more classes, each model trained anew on all so far, as in CoReS.
replacement  7 tasks, the first of 10 classes and the others of 15, each model fine-tuned from the
             last with 20 rehearsed images a class; before the first, third and fifth task the model
             is replaced by one that a supplier trained on more classes of his own, as in IAM-CL2R.
             There the suppliers had ImageNet32, which we have not: here they have images of
             CIFAR-100 that the tasks do not use, under slots of their own.

C[t, k] is for queries by model t on the gallery of model k. Of 400 test images of each class of
CIFAR-10, half make the gallery and half are queries. ``templates`` is top-1 against the mean vector
of each class, as in IAM-CL2R; ``mAP`` ranks the single images.

Finished models and results are kept, so that the command may be interrupted and called again.

Usage: python -m benchmarks.cifar100_chain --data ../shared/data/images [--protocol steps]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.measuring import report
from benchmarks.side_by_side.data import Images, read
from benchmarks.side_by_side.measure import cell, embed
from benchmarks.side_by_side.methods import METHODS, SIZES, Method, Run, train_model
from benchmarks.side_by_side.table import interval
from compat.encoders import Encoder
from compat.evaluation.compatibility import average_compatibility, average_multi_model_accuracy
from compat.evaluation.summaries import backward_compatibility, forward_compatibility
from registry.arrays import Float32Array, Float64Array

BY_NAME = {method.name: method for method in METHODS}
STEPS = (BY_NAME["independent"], BY_NAME["bct"], BY_NAME["cores"])
TASKS = (
    replace(BY_NAME["independent"], name="rehearsal only", starts_from_old=True),
    replace(BY_NAME["cores"], name="simplex, no contrast", starts_from_old=True),
    BY_NAME["d-simplex-hoc"],
)
STEP = 10
TASK_ENDS = (10, 25, 40, 55, 70, 85, 100)
SUPPLIED = {0: 20, 2: 40, 4: 80}  # before which task, a model of how many classes
N_SLOTS = 200  # suppliers from the first on, tasks from the last down
N_LOCAL = 300  # images of each class that tasks may have, as in CIFAR-100R; suppliers have others
REHEARSED = 20
N_OPEN_SET = 400  # images of each class of CIFAR-10
SUMMARIES = {
    "AC": average_compatibility,
    "AA": average_multi_model_accuracy,
    "BC": backward_compatibility,
    "FC": forward_compatibility,
}


def steps(method: Method, run: Run, training: Images) -> list[Encoder]:
    """Return the models of ten steps."""
    models: list[Encoder] = []
    dim = 99 if method.is_simplex else run.size.old_dim
    for number in range(10):
        data = training.first_classes(STEP * (number + 1))
        previous = models[-1] if models else None
        how = method if previous or not method.meets_old else BY_NAME["independent"]
        name = f"steps-{method.name}-{number}"
        models.append(train_model(how, run.at(number), name, data, dim, previous))
    return models


def replacement(method: Method, run: Run, local: Images, supplied: Images) -> list[Encoder]:
    """Return the models of seven tasks."""
    models: list[Encoder] = []
    dim = N_SLOTS - 1 if method.is_simplex else run.size.old_dim
    maker = BY_NAME["cores" if method.is_simplex else "independent"]
    for number, end in enumerate(TASK_ENDS):
        current = models[-1] if models else None
        if number in SUPPLIED:
            n = SUPPLIED[number]
            name = f"supplier-{maker.name}-{n}"
            current = train_model(maker, run.at(n), name, supplied.first_classes(n), dim, None)
        begin = TASK_ENDS[number - 1] if number else 0
        data = task(local, begin, end, run.seed)
        if method.is_simplex:
            data = Images(data.pixels, N_SLOTS - 1 - data.labels)
        name = f"replacement-{method.name}-{number}"
        models.append(train_model(method, run.at(number), name, data, dim, current))
    return models


def task(local: Images, begin: int, end: int, seed: int) -> Images:
    """Return the images of a task's classes, and some of all classes before."""
    so_far = local.first_classes(end)
    is_new = so_far.labels >= begin
    if begin == 0:
        return so_far
    old = local.first_classes(begin).per_class(REHEARSED, seed)
    return Images(
        torch.cat([so_far.pixels[is_new], old.pixels]),
        torch.cat([so_far.labels[is_new], old.labels]),
    )


def matrices(models: Sequence[Encoder], images: Images) -> dict[str, list[list[float]]]:
    """Return C by metric; zero above the diagonal, where nothing is measured."""
    asked, held = (Images(images.pixels[start::2], images.labels[start::2]) for start in (0, 1))
    labels, of_gallery = asked.labels.numpy(), held.labels.numpy()
    queries = [embed(model, asked) for model in models]
    galleries = [embed(model, held) for model in models]
    found = {name: np.zeros((len(models), len(models))) for name in ("templates", "mAP")}
    for t, k in zip(*np.tril_indices(len(models)), strict=True):
        templates = class_means(galleries[k], held)
        nearest = (queries[t] @ templates.T).argmax(axis=1)
        found["templates"][t, k] = 100 * float(np.mean(nearest == labels))
        found["mAP"][t, k] = cell(queries[t], galleries[k], labels, of_gallery)["mAP"]
    return {name: matrix.tolist() for name, matrix in found.items()}


def class_means(vectors: Float32Array, images: Images) -> Float32Array:
    """Return the normalised mean vector of each class."""
    labels = images.labels.numpy()
    means = np.stack([vectors[labels == c].mean(axis=0) for c in range(int(labels.max()) + 1)])
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), dtype=np.float32)


def run_seed(given: argparse.Namespace, seed: int, folder: Path) -> list[dict[str, Any]]:
    """Train and measure what has no result yet, and return the results of a seed."""
    training, _, tests = read(given.data)
    open_set = tests.per_class(N_OPEN_SET, seed)
    local, supplied = (part.per_class(given.per_class, seed) for part in split(training))
    run = Run(SIZES[given.size], seed, folder)
    rows = []
    for method in STEPS if given.protocol == "steps" else TASKS:
        path = folder / f"{seed}-{given.protocol}-{method.name}.json"
        if not path.is_file():
            if given.protocol == "steps":
                models = steps(method, run, local)
            else:
                models = replacement(method, run, local, supplied)
            row = {"seed": seed, "method": method.name, "C": matrices(models, open_set)}
            path.write_text(json.dumps(row))
        rows.append(json.loads(path.read_text()))
        print(seed, method.name, summary_of(rows[-1]), flush=True)
    return rows


def split(training: Images) -> tuple[Images, Images]:
    """Return the first images of each class, for the tasks, and the rest, for suppliers."""
    labels = training.labels
    rank = torch.zeros_like(labels)
    for c in range(int(labels.max()) + 1):
        rows = labels == c
        rank[rows] = torch.arange(int(rows.sum()))
    parts = (rank < N_LOCAL, rank >= N_LOCAL)
    local, supplied = (Images(training.pixels[part], labels[part]) for part in parts)
    return local, supplied


def summary_of(row: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return AC, AA, BC and FC of each metric."""
    arrays: dict[str, Float64Array] = {name: np.array(c) for name, c in row["C"].items()}
    return {
        name: {short: value(matrix) for short, value in SUMMARIES.items()}
        for name, matrix in arrays.items()
    }


def summarise(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return means over seeds with their 95 % intervals, by method, metric and summary."""
    methods = dict.fromkeys(row["method"] for row in rows)
    return {
        method: {
            metric: {
                short: interval([summary_of(row)[metric][short] for row in of])
                for short in SUMMARIES
            }
            for metric in of[0]["C"]
        }
        for method in methods
        for of in [[row for row in rows if row["method"] == method]]
    }


def markdown(summary: Mapping[str, Any]) -> str:
    """Return a table."""
    metrics = list(next(iter(summary.values())))
    heads = [f"{metric}: {short}" for metric in metrics for short in SUMMARIES]
    lines = [f"| | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for method, of in summary.items():
        found = [of[metric][short] for metric in metrics for short in SUMMARIES]
        cells = [f"{f['mean']:.2f} ± {f.get('plus_minus', np.nan):.2f}" for f in found]
        lines += [f"| {method} | {' | '.join(cells)} |"]
    return "\n".join(lines)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of shared/data/images")
    parser.add_argument("--protocol", choices=("steps", "replacement"), default="steps")
    parser.add_argument("--size", choices=tuple(SIZES), default="small")
    parser.add_argument("--per-class", type=int, default=30, help="images a class; 0 for all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--work", type=Path, default=Path("build/cifar100_chain"))
    given = parser.parse_args()
    folder = given.work / f"{given.size}-{given.per_class}"
    folder.mkdir(parents=True, exist_ok=True)
    rows = [row for seed in given.seeds for row in run_seed(given, seed, folder)]
    size = SIZES[given.size]
    figures = {
        "data": f"CIFAR-100, {given.per_class or 'all'} training images a class, open set CIFAR-10",
        "size": {"backbone": size.backbone, **size.options, "epochs": size.training.epochs},
        "seeds": given.seeds,
        "summary": summarise(rows),
        "rows": rows,
    }
    report(f"cifar100_{given.protocol}_{given.size}", figures)
    print(markdown(summarise(rows)))


if __name__ == "__main__":
    main()
