"""Chains of upgrades on CIFAR-100, measured on CIFAR-10, whose classes nobody was trained on.

steps          10 steps of 10 more classes, each model trained anew on all so far, as in CoReS; only
               d-simplex-hoc is fine-tuned from the last one.
architectures  4 models of 25, 50, 75 and 100 classes, each of another architecture, as in BT2.
replacement    7 tasks, the first of 10 classes and the others of 15, each model fine-tuned from the
               last with 20 rehearsed images a class, which fill half of each step; before the
               first, third and fifth task the model is replaced by one that a supplier trained on
               more classes of his own, as in IAM-CL2R. There the suppliers had ImageNet32, which we
               have not: here they have images of CIFAR-100 that the tasks do not use, under slots
               of their own.

In the first two, vectors grow at each upgrade, those of the independent models too, save the
simplex's. Each model is trained against the one before only and is measured against all before, in
the dimensions that both have. The independent model of the same classes is BT2's twin, whose
vectors have one growth more, and is where a turned start begins.

C[t, k] is for queries by model t on the gallery of model k. Of 400 test images of each class of
CIFAR-10, half make the gallery and half are queries. ``templates`` is top-1 against the mean vector
of each class, as in IAM-CL2R; ``mAP`` ranks the single images. The tax is the mean over the models
of a chain of what new -> new loses to the independent model.

Finished models and results are kept, and unfinished models every few epochs, so that the command
may be interrupted and called again.

Usage: python -m benchmarks.cifar100_chain --data ../shared/data/images [--protocol steps]
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.side_by_side.chains import (
    markdown,
    matrices,
    matrix_markdown,
    summarise,
    summary_of,
)
from benchmarks.side_by_side.data import Images, read
from benchmarks.side_by_side.kept import Kept, add_arguments, kept
from benchmarks.side_by_side.methods import BY_NAME, N_SLOTS, SIZES, TURNED, Method, Size
from benchmarks.side_by_side.models import Others, Run, train_model
from compat.encoders import Encoder

_PAIRWISE = ("independent", "bct", "bt2", "oca")
_ANEW = tuple(BY_NAME[name] for name in (*_PAIRWISE, TURNED.name, "cores"))
METHODS = {
    "steps": (*_ANEW, BY_NAME["d-simplex-hoc"]),
    # another architecture's weights are nothing to start from
    "architectures": (*_ANEW, replace(BY_NAME["d-simplex-hoc"], starts_from_old=False)),
    "replacement": (
        replace(BY_NAME["independent"], name="rehearsal only", starts_from_old=True),
        replace(BY_NAME["cores"], name="simplex, no contrast", starts_from_old=True),
        BY_NAME["d-simplex-hoc"],
    ),
}
CLASSES = {"steps": tuple(range(10, 101, 10)), "architectures": (25, 50, 75, 100)}
TASK_ENDS = (10, 25, 40, 55, 70, 85, 100)
SUPPLIED = {0: 20, 2: 40, 4: 80}  # before which task, a model of how many classes
TASK_SLOTS = 200  # suppliers from the first on, tasks from the last down
N_LOCAL = 300  # images of each class that tasks may have, as in CIFAR-100R; suppliers have others
REHEARSED = 20
N_OPEN_SET = 400  # images of each class of CIFAR-10
PER_CLASS = {"steps": 30, "architectures": 50, "replacement": 30}  # small size; full has all


def upgrades(protocol: str, method: Method, run: Run, training: Images) -> list[Encoder]:
    """Return the models of a chain on more and more classes."""
    models: list[Encoder] = []
    for number, n_classes in enumerate(CLASSES[protocol]):
        at = run.at(number)
        if protocol == "architectures":
            at = replace(at, size=run.size.architecture(number))
        old = models[-1] if models else None
        data = training.first_classes(n_classes)
        models.append(upgraded(protocol, number, method, at, data, old))
    return models


def upgraded(
    protocol: str, number: int, method: Method, run: Run, data: Images, old: Encoder | None
) -> Encoder:
    """Return one model of a chain; the first is trained without regard to another one."""
    if old is None and method.meets_old:
        method = BY_NAME["cores" if method.is_simplex else "independent"]
    dim = N_SLOTS - 1 if method.is_simplex else run.size.old_dim + number * run.size.grow
    twin = None
    if method.uses_twin:
        twin = upgraded(protocol, number, BY_NAME["independent"], run, data, old)
    if method.needs_twin:
        method = replace(method, options={**method.options, "to_add_dim": run.size.grow})
    name = f"{protocol}-{method.name}-{number}"
    return train_model(method, run, name, data, dim, Others(old, twin))


def replacement(method: Method, run: Run, local: Images, supplied: Images) -> list[Encoder]:
    """Return the models of seven tasks."""
    models: list[Encoder] = []
    dim = TASK_SLOTS - 1 if method.is_simplex else run.size.old_dim
    maker = BY_NAME["cores" if method.is_simplex else "independent"]
    for number, end in enumerate(TASK_ENDS):
        current = models[-1] if models else None
        if number in SUPPLIED:
            n = SUPPLIED[number]
            name = f"supplier-{maker.name}-{n}"
            current = train_model(maker, run.at(n), name, supplied.first_classes(n), dim, Others())
        begin = TASK_ENDS[number - 1] if number else 0
        data = task(local, begin, end, run.seed)
        if method.is_simplex:
            data = replace(data, labels=TASK_SLOTS - 1 - data.labels)
        name = f"replacement-{method.name}-{number}"
        models.append(train_model(method, run.at(number), name, data, dim, Others(current)))
    return models


def task(local: Images, begin: int, end: int, seed: int) -> Images:
    """Return the images of a task's classes, and behind them some of all classes before."""
    so_far = local.first_classes(end)
    is_new = so_far.labels >= begin
    if begin == 0:
        return so_far
    old = local.first_classes(begin).per_class(REHEARSED, seed)
    return Images(
        torch.cat([so_far.pixels[is_new], old.pixels]),
        torch.cat([so_far.labels[is_new], old.labels]),
        n_rehearsed=len(old.labels),
    )


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


def run_seed(
    protocol: str, run: Run, images: tuple[Images, Images], open_set: Images, place: Kept
) -> list[dict[str, Any]]:
    """Train and measure what has no result yet, and return the results of a seed.

    Args:
        protocol: one of `METHODS`.
        run: the seed's models.
        images: for the tasks, and for suppliers.
        open_set: gallery and queries.
        place: where results are kept.
    """
    rows = []
    for method in METHODS[protocol]:
        row = partial(measured, protocol, method, run, images, open_set)
        rows.append(place.result(f"{run.seed}-{protocol}-{method.name}", row))
        print(run.seed, method.name, summary_of(rows[-1]), flush=True)
    return rows


def measured(
    protocol: str, method: Method, run: Run, images: tuple[Images, Images], open_set: Images
) -> dict[str, Any]:
    """Return the result of one method."""
    if protocol == "replacement":
        models = replacement(method, run, *images)
    else:
        models = upgrades(protocol, method, run, images[0])
    return {"seed": run.seed, "method": method.name, "C": matrices(models, open_set)}


def run(given: argparse.Namespace, size: Size, place: Kept) -> list[dict[str, Any]]:
    """Run all seeds, and return all results."""
    training, _, tests = read(given.data)
    n_tests = place.overrides.get("test_per_class", N_OPEN_SET)
    rows = []
    for seed in place.seeds:
        local, supplied = (part.per_class(size.per_class, seed) for part in split(training))
        models = Run(size, seed, place.folder)
        open_set = tests.per_class(n_tests, seed)
        rows += run_seed(given.protocol, models, (local, supplied), open_set, place)
    return rows


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of shared/data/images")
    parser.add_argument("--protocol", choices=tuple(METHODS), default="steps")
    parser.add_argument("--size", choices=tuple(SIZES), default="small")
    overrides = ("epochs", "per_class", "test_per_class")
    add_arguments(parser, Path("build/cifar100_chain"), overrides)
    given = parser.parse_args()
    per_class = given.per_class
    if per_class is None:
        per_class = PER_CLASS[given.protocol] if given.size == "small" else 0
    size = SIZES[given.size].changed(given.epochs, per_class)
    place = kept(given, Path(__file__))
    rows = run(given, size, place)
    summary = summarise(rows)
    is_changing = given.protocol == "architectures"
    networks = size.architectures if is_changing else ((size.backbone, size.options),)
    figures = {
        "data": f"CIFAR-100, {per_class or 'all'} training images a class, open set CIFAR-10",
        "size": {"networks": networks, "epochs": size.training.epochs},
        "summary": summary,
        "rows": rows,
    }
    place.report(f"cifar100_{given.protocol}_{given.size}", figures)
    print(markdown(summary))
    if is_changing:
        print(matrix_markdown(summary, "mAP"))


if __name__ == "__main__":
    main()
