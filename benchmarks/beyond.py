"""One recipe that is best on both axes? What was tried beyond the papers, on Omniglot.

An old model of 150 characters, new ones of 500, as in the demo, over several seeds of split and
training. New queries search old vectors of characters that only the new models were trained on, and
of characters that no model was; every figure is compared within its seed, with class prototypes
across (new -> old) and with the independent model within (new -> new).

memory-contrast  a contrast with the memory of old vectors, with and without its term by image.
turned start     the independent model, rotated into the old space (orthogonal Procrustes), then
                 trained on with compatible targets for half of the epochs. Because that makes one
                 and a half trainings in all, OCA is given as many epochs too.

Finished models and results are kept, so that the command may be interrupted and called again.

Usage: python -m benchmarks.beyond [--seeds 0 1 2]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.measuring import report
from benchmarks.side_by_side.data import Images
from benchmarks.side_by_side.measure import Cell, cell, embed
from benchmarks.side_by_side.methods import Method, Run, Size, train_model
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
    per_class=0,
    preprocessing=Preprocessing(1 / 255),
    training=TrainingOptions(
        epochs=30, augmentation=Augmentation(rotation=10, shift=0.05, scale=0.1, shear=0.1)
    ),
)
OLD = replace(NEW, options={"width": 16}, training=replace(NEW.training, epochs=15))


def _memory(new: float, contrast: float, image: float) -> dict[str, object]:
    """Return options whose weights sum to 1, so that a learning rate means the same for all."""
    total = new + contrast + image
    return {
        "new_weight": new / total,
        "contrast_weight": contrast / total,
        "image_weight": image / total,
    }


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
RECIPES = (
    PLAIN,
    Method("oca", "oca", _OCA),
    Method(PROTOTYPES, "oca", {**_OCA, "orthogonal": False}),
    Method("images only", "memory-contrast", _memory(1, 0, 1)),
    Method("memory-contrast", "memory-contrast", _memory(1, 1, 0.5)),
    Method("- without images", "memory-contrast", _memory(1, 1, 0)),
    Method("turned, untrained", "oca", turned=True, share=0),
    Method("turned start", "oca", {**_OCA, "orthogonal": False}, turned=True, share=0.5),
    Method(
        "turned start, memory-contrast",
        "memory-contrast",
        _memory(1, 1, 0.5),
        turned=True,
        share=0.5,
    ),
    Method("oca, half as long again", "oca", _OCA, share=1.5),
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


def run_seed(seed: int, folder: Path) -> dict[str, Any]:
    """Train and measure what has no result yet, and return the results of a seed."""
    data = load_omniglot()
    split = demo_split(data, seed)
    run = Run(NEW, seed, folder)
    training = images(data, split.new_training)
    old_images = images(data, split.old_training)
    old = train_model(PLAIN, Run(OLD, seed, folder), "old", old_images, NEW.old_dim, None)
    found = {}
    for recipe in RECIPES:
        path = folder / f"{seed}-{recipe.name}.json"
        if not path.is_file():
            given = None if recipe is PLAIN else old
            new = train_model(recipe, run, recipe.name, training, NEW.new_dim, given)
            path.write_text(json.dumps(measured(data, split, old, new)))
            print(seed, recipe.name, path.read_text(), flush=True)
        found[recipe.name] = json.loads(path.read_text())
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
        columns = list(next(iter(summary.values()))[group])[1:]
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
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--work", type=Path, default=Path("build/beyond"))
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    seeds = {seed: run_seed(seed, given.work) for seed in given.seeds}
    summary = summarise(seeds)
    data = "Omniglot as in the demo: 150 -> 500 characters, percent"
    report("beyond", {"data": data, "summary": summary, "seeds": seeds})
    print(markdown(summary))


if __name__ == "__main__":
    main()
