"""One recipe that is best on both axes? What was tried beyond the papers, on Omniglot.

An old model of 150 characters, new ones of 500, as in the demo, over several seeds of split and
training. New queries search old vectors of characters that only the new models were trained on, and
of characters that no model was; every figure is compared within its seed, with class prototypes
across (new -> old) and with the independent model within (new -> new).

two-level        the old model's class means, and its vector of the same view, as targets at once.
turned start     the independent model, rotated into the old space (orthogonal Procrustes), then
                 trained on. Because that makes two trainings in all, as BT2 needs too, OCA is given
                 as many epochs.

Finished models and results are kept, and unfinished models every few epochs, so that the command
may be interrupted and called again.

Usage: python -m benchmarks.beyond [--seeds 0 1 2]
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.side_by_side.data import Images
from benchmarks.side_by_side.kept import Kept, add_arguments, kept
from benchmarks.side_by_side.measure import Cell, cell, embed
from benchmarks.side_by_side.methods import TURNED, Method, Size
from benchmarks.side_by_side.models import Others, Run, train_model
from benchmarks.side_by_side.table import interval
from compat.augmentation import Augmentation
from compat.datasets.omniglot import (
    NEW_ONLY,
    UNSEEN,
    DemoSplit,
    Omniglot,
    demo_split,
    load_omniglot,
)
from compat.encoders import Encoder
from compat.preprocessing import Preprocessing
from compat.training_options import TrainingOptions
from registry.arrays import Int64Array

NEW = Size(
    "small_convnet",
    {"width": 24},
    old_dim=64,
    new_dim=96,
    grow=32,
    per_class=0,
    preprocessing=Preprocessing(1 / 255),
    training=TrainingOptions(
        epochs=30, augmentation=Augmentation(rotation=10, shift=0.05, scale=0.1, shear=0.1)
    ),
)
OLD = replace(NEW, options={"width": 16}, training=replace(NEW.training, epochs=15))


PLAIN = Method("independent", "independent", {"cosine": True, "scale": 16.0})
PROTOTYPES = "class prototypes"
_OCA: dict[str, object] = {
    "cosine": True,
    "new_scale": 16.0,
    "compatible_scale": 16.0,
    "new_weight": 0.25,
    "compatible_weight": 0.5,
    "alignment_weight": 0.25,
}
# 1, 1, 10 and 5 as in the paper, over their sum.
_BT2: dict[str, object] = {
    "to_add_dim": NEW.grow,
    "cosine": True,
    "new_scale": 16.0,
    "old_scale": 16.0,
    "classification_weight": 1 / 17,
    "twin_weight": 1 / 17,
    "prototype_weight": 10 / 17,
    "alignment_weight": 5 / 17,
}
RECIPES = (
    PLAIN,
    Method("bt2", "bt2", _BT2, needs_twin=True),
    Method("oca", "oca", _OCA),
    Method(PROTOTYPES, "oca", {**_OCA, "orthogonal": False}),
    Method("oca, twice as long", "oca", _OCA, share=2.0),
    Method("turned, untrained", "two-level", turned=True, share=0),
    Method("two-level", "two-level"),
    TURNED,
    replace(TURNED, name="- classes only", options={"image_weight": 0.0}),
)


def images(data: Omniglot, rows: Int64Array) -> Images:
    """Return rows, their characters numbered from 0."""
    numbers = np.unique(data.labels[rows], return_inverse=True)[1].astype(np.int64)
    return Images(torch.from_numpy(data.images[rows]), torch.from_numpy(numbers))


def measured(data: Omniglot, split: DemoSplit, old: Encoder, new: Encoder) -> dict[str, Any]:
    """Return, by group, the three cells of an upgrade; each query ranks the whole gallery."""
    asked, held = images(data, split.queries), images(data, split.gallery)
    of_query, of_gallery = data.labels[split.queries], data.labels[split.gallery]
    groups = split.groups[of_query]
    found: dict[str, dict[str, Cell]] = {NEW_ONLY: {}, UNSEEN: {}}
    cells = {"old -> old": (old, old), "new -> old": (new, old), "new -> new": (new, new)}
    for name, (asking, holding) in cells.items():
        queries, gallery = embed(asking, asked), embed(holding, held)
        for group, of_group in found.items():
            rows = groups == group
            of_group[name] = cell(queries[rows], gallery, of_query[rows], of_gallery)
    return found


def sizes(epochs: int | None) -> tuple[Size, Size]:
    """Return the sizes of old and new model; the old one has half of the epochs, as in the demo."""
    if epochs is None:
        return OLD, NEW
    return OLD.changed(max(1, epochs // 2), None), NEW.changed(epochs, None)


def run_seed(data: Omniglot, seed: int, place: Kept) -> dict[str, Any]:
    """Train and measure what has no result yet, and return the results of a seed."""
    split = demo_split(data, seed)
    old_size, new_size = sizes(place.overrides.get("epochs"))
    run = Run(new_size, seed, place.folder)
    training = images(data, split.new_training)
    of_old = replace(run, size=old_size).at(0)
    old_images = images(data, split.old_training)
    old = train_model(PLAIN, of_old, "old", old_images, old_size.old_dim, Others())
    twin = train_model(PLAIN, run, PLAIN.name, training, new_size.new_dim, Others())

    def made(recipe: Method) -> dict[str, Any]:
        """Return the cells of a recipe."""
        given = Others(old, twin)
        new = train_model(recipe, run, recipe.name, training, new_size.new_dim, given)
        return measured(data, split, old, new)

    found = {}
    for recipe in RECIPES:
        found[recipe.name] = place.result(f"{seed}-{recipe.name}", partial(made, recipe))
        print(seed, recipe.name, found[recipe.name], flush=True)
    return found


def summarise(seeds: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """Return means over seeds, and paired differences, with their 95 % intervals."""
    metrics = ("top1", "mAP")

    def over(recipe: str, group: str, name: str, rival: str | None = None) -> dict[str, Any]:
        return {
            m: interval(
                [
                    of[recipe][group][name][m] - (of[rival][group][name][m] if rival else 0.0)
                    for of in seeds.values()
                ]
            )
            for m in metrics
        }

    return {
        recipe.name: {
            group: {
                "old -> old": over(recipe.name, group, "old -> old"),
                "new -> old": over(recipe.name, group, "new -> old"),
                "new -> new": over(recipe.name, group, "new -> new"),
                "new -> old, less class prototypes": over(
                    recipe.name, group, "new -> old", PROTOTYPES
                ),
                "new -> new, less independent": over(recipe.name, group, "new -> new", PLAIN.name),
            }
            for group in (NEW_ONLY, UNSEEN)
        }
        for recipe in RECIPES
    }


def markdown(summary: Mapping[str, Any]) -> str:
    """Return a table for each group: top-1, mAP."""
    lines: list[str] = []
    for group in (NEW_ONLY, UNSEEN):
        columns = list(next(iter(summary.values()))[group])
        lines += ["", f"{group}: top-1, mAP, percent", "", f"| | {' | '.join(columns)} |"]
        lines += ["|---" * (len(columns) + 1) + "|"]
        for recipe, of in summary.items():
            values = (
                ", ".join(
                    f"{of[group][c][m]['mean']:.1f} ± {of[group][c][m].get('plus_minus', 0):.1f}"
                    for m in ("top1", "mAP")
                )
                for c in columns
            )
            lines += [f"| {recipe} | {' | '.join(values)} |"]
    return "\n".join(lines)


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser, Path("build/beyond"), ("epochs",))
    place = kept(parser.parse_args(), Path(__file__))
    data = load_omniglot()
    seeds = {seed: run_seed(data, seed, place) for seed in place.seeds}
    summary = summarise(seeds)
    of = "Omniglot as in the demo: 150 -> 500 characters, percent"
    place.report("beyond", {"data": of, "summary": summary, "rows": seeds})
    print(markdown(summary))


if __name__ == "__main__":
    main()
