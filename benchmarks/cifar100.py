"""All objectives side by side on CIFAR-100: an old model of 50 classes, new ones of 100.

Old and new galleries hold the test images of all 100 classes (half of them the old model has never
seen), and, as the open set, the test images of CIFAR-10, whose classes nobody was trained on. Each
image is a query and leaves itself out. Finished models and results are kept, and unfinished models
every few epochs, so that the command may be interrupted and called again.

Usage: python -m benchmarks.cifar100 --data ../shared/data/images [--size small] [--seeds 0 1 2]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.side_by_side.data import N_OLD, Images, read
from benchmarks.side_by_side.kept import Kept, add_arguments, kept
from benchmarks.side_by_side.measure import Cell, cell, class_vectors, embed, upgrade
from benchmarks.side_by_side.methods import BY_NAME, N_SLOTS, SIZES, Method, Size
from benchmarks.side_by_side.models import Others, Run, train_model
from benchmarks.side_by_side.plot import draw
from benchmarks.side_by_side.table import line, markdown, summarise
from compat.adapters import fit_procrustes, map_queries
from compat.encoders import Encoder

PROCRUSTES, LOGITS = BASELINES = ("independent + Procrustes", "logit features")
Result = dict[str, dict[str, Cell]]


@dataclass(frozen=True)
class Experiment:
    """One seed: what its models are trained on, and what they are measured on.

    Attributes:
        run: the seed's models.
        training: images of all classes.
        tests: images that are gallery and queries at once, by name.
    """

    run: Run
    training: Images
    tests: dict[str, Images]

    def old(self, *, is_simplex: bool) -> Encoder:
        """Return the old model: of half of the classes, trained plainly or with the simplex."""
        maker = BY_NAME["cores" if is_simplex else "independent"]
        dim = N_SLOTS - 1 if is_simplex else self.run.size.old_dim
        data = self.training.first_classes(N_OLD)
        return train_model(maker, self.run.at(0), f"old-{maker.name}", data, dim, Others())

    def new(self, method: Method) -> Encoder:
        """Return a method's new model."""
        dim = self.run.size.new_dim if method.grows else N_SLOTS - 1
        twin = self.new(BY_NAME["independent"]) if method.uses_twin else None
        others = Others(self.old(is_simplex=method.is_simplex), twin)
        return train_model(method, self.run, method.name, self.training, dim, others)

    def measured(self, method: Method) -> Result:
        """Return the cells of a method's upgrade."""
        old, new = self.old(is_simplex=method.is_simplex), self.new(method)
        return {
            name: upgrade(embed(old, images), embed(new, images), images)
            for name, images in self.tests.items()
        }

    def procrustes(self) -> Result:
        """Return what a rotation of the independent model's queries gives."""
        old, new = self.old(is_simplex=False), self.new(BY_NAME["independent"])
        turn = fit_procrustes(embed(new, self.training), embed(old, self.training))
        found: Result = {}
        for name, images in self.tests.items():
            held, asked = embed(old, images), embed(new, images)
            found[name] = upgrade(held, asked, images)
            found[name]["new -> old"] = cell(map_queries(asked, turn), held, images.labels.numpy())
        return found

    def logits(self) -> Result:
        """Return what vectors made of both models' logits of the old classes give."""
        old, new = self.old(is_simplex=False), self.new(BY_NAME["independent"])
        of_old = self.run.at(0).classifier("old-independent")
        of_new = self.run.classifier("independent")
        return {
            name: upgrade(
                class_vectors(embed(old, images), of_old, n_shared=N_OLD),
                class_vectors(embed(new, images), of_new, n_shared=N_OLD),
                images,
            )
            for name, images in self.tests.items()
        }

    def cells(self, name: str) -> Result:
        """Return the cells of a method or a baseline."""
        if name in BASELINES:
            return self.procrustes() if name == PROCRUSTES else self.logits()
        return self.measured(BY_NAME[name])

    def row(self, name: str) -> dict[str, Any]:
        """Return the result of a method or a baseline."""
        return {"seed": self.run.seed, "method": name, "cells": self.cells(name)}


def run(data: Path, size: Size, place: Kept) -> list[dict[str, Any]]:
    """Run what has no result yet, and return all results."""
    images = read(data)
    n_tests = place.overrides.get("test_per_class", 0)
    names = ("CIFAR-100", "CIFAR-10, open set")
    tests = {name: of.per_class(n_tests, 0) for name, of in zip(names, images[1:], strict=True)}
    rows = []
    for seed in place.seeds:
        training = images[0].per_class(size.per_class, seed)
        experiment = Experiment(Run(size, seed, place.folder), training, tests)
        for name in (*BY_NAME, *BASELINES):
            rows.append(place.result(f"{seed}-{name}", partial(experiment.row, name)))
            print(line(rows[-1]), flush=True)
    return rows


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of shared/data/images")
    parser.add_argument("--size", choices=tuple(SIZES), default="small")
    overrides = ("epochs", "per_class", "test_per_class")
    add_arguments(parser, Path("build/cifar100"), overrides)
    given = parser.parse_args()
    size = SIZES[given.size].changed(given.epochs, given.per_class)
    place = kept(given, Path(__file__))
    rows = run(given.data, size, place)
    figures = {
        "data": f"CIFAR-100, {size.per_class or 500} training images a class; its test images and "
        "those of CIFAR-10 as gallery and queries, leave one out; percent",
        "size": {"backbone": size.backbone, **size.options, "epochs": size.training.epochs},
        "summary": summarise(rows),
        "rows": rows,
    }
    place.report(f"cifar100_{given.size}", figures)
    print(markdown(summarise(rows)))
    draw(summarise(rows), place.results / f"cifar100_{given.size}.png")


if __name__ == "__main__":
    main()
