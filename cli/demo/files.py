"""The files that the demo's commands work on, made from the Omniglot images that ship along."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np

from compat.datasets.omniglot import DemoSplit, Omniglot, demo_split, load_omniglot
from registry.arrays import Int64Array

CONFIGS = ("v1.toml", "v2.toml", "independent.toml", "policy.toml")
TRAINING = ("train_v1.npz", "train_v2.npz")
PARTS = ("gallery.npz", "new_items.npz", "queries.npz")
REPORTS = ("report.html", "refused.html")
SPLIT_SEED = 0


def write_files(directory: Path, *, seed: int = SPLIT_SEED) -> tuple[Omniglot, DemoSplit]:
    """Write training data, gallery, new items, queries and configurations into a folder.

    Items are named ``character-drawer``, such as ``Latin/character01-12``. Their label is the
    character, their group says which model has seen it. The seed decides which characters train
    which model.
    """
    data = load_omniglot()
    split = demo_split(data, seed)
    for name, rows in zip(TRAINING, (split.old_training, split.new_training), strict=True):
        np.savez(directory / name, inputs=data.images[rows], labels=data.labels[rows])
    for name, rows in zip(PARTS, (split.gallery, split.new_items, split.queries), strict=True):
        _write_part(directory / name, data, split, rows)
    for name in CONFIGS:
        text = files("cli.demo").joinpath("configs", name).read_text("utf-8")
        (directory / name).write_text(text, "utf-8")
    return data, split


def _write_part(path: Path, data: Omniglot, split: DemoSplit, rows: Int64Array) -> None:
    labels = data.labels[rows]
    ids = [
        f"{data.class_names[label]}-{drawer:02}"
        for label, drawer in zip(labels, data.drawers[rows], strict=True)
    ]
    np.savez(
        path,
        inputs=data.images[rows],
        ids=np.array(ids),
        labels=labels,
        groups=split.groups[labels].astype(str),
    )
