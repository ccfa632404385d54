"""Time of a training step of each objective over plain training of the same backbone.

Three settings: ``views`` augments images, so that objectives that look at the old model embed every
view with it; ``kept views`` has seen all its views before, so that their old features are at hand;
``cached`` does not augment, and old features are computed once. The epochs of all objectives take
turns, so that a machine that is busy for a while slows all of them.

A run of E epochs that keeps V views pays for ``views`` in V of them and for ``kept views`` in the
others: ``amortised`` is the mean ratio.

Usage: python -m benchmarks.step_time [--rounds 7]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.measuring import report, side_by_side
from benchmarks.side_by_side.data import Images
from benchmarks.side_by_side.methods import (
    METHODS,
    N_SLOTS,
    SIZES,
    Method,
)
from benchmarks.side_by_side.models import (
    Others,
    Run,
    features_of,
    new_encoder,
    new_objective,
)
from compat.augmentation import Augmentation
from compat.objectives.protocol import needs_of
from compat.training import EpochRecord, train

N_SAMPLES = 2560
# those with the same steps as another, only more of them or from another start, are left out
TIMED = tuple(m for m in METHODS if m.share == 1 and not m.turned and m.views is None)
PLAIN = TIMED[0]
AMORTISED = ("bt2", "d-simplex-hoc")
RUNS = ((100, 10), (12, 4))  # epochs and views


def epochs(method: Method, run: Run, data: Images) -> Iterator[EpochRecord]:
    """Train a method's model from its first weights on, for as many epochs as anybody asks for."""
    old_dim = N_SLOTS - 1 if method.is_simplex else run.size.old_dim
    dim = run.size.new_dim if method.grows else old_dim
    old = new_encoder(PLAIN, run.at(0), old_dim, Others(), data).eval()
    twin = new_encoder(PLAIN, run, dim, Others(), data).eval() if method.needs_twin else None
    others = Others(old, twin)
    encoder = new_encoder(method, run, dim, others, data)
    objective = new_objective(method, run, encoder, data, others)
    met = others.met_by(method)
    given = data.as_training_data()
    if run.size.training.augmentation.is_none:
        needs = needs_of(objective)
        given = replace(
            given,
            old_features=features_of(met.old, data) if needs.old_features else None,
            twin_features=features_of(met.twin, data) if needs.twin_features else None,
        )
    return train(
        encoder, objective, given, run.size.training, old_encoder=met.old, twin_encoder=met.twin
    )


def measured(size: str, augmentation: Augmentation, rounds: int) -> dict[str, dict[str, float]]:
    """Return, by method, the ratio to plain training and samples per second."""
    given = SIZES[size]
    training = replace(given.training, epochs=10_000, augmentation=augmentation)
    run = Run(replace(given, training=training), 0, Path())
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (N_SAMPLES, 3, 32, 32), generator=generator, dtype=torch.uint8)
    data = Images(pixels, torch.arange(N_SAMPLES) % N_SLOTS)
    trainings = [epochs(method, run, data) for method in TIMED]
    for training_of in trainings:
        next(training_of)  # warms up, and computes what is kept of a single view
    steps = [lambda one=one: next(one) for one in trainings]
    seconds, ratios = side_by_side(steps, rounds)
    return {
        method.name: {"ratio": round(ratio, 3), "samples_per_s": round(N_SAMPLES / second)}
        for method, second, ratio in zip(TIMED, seconds, ratios, strict=True)
    }


def amortised(
    views: dict[str, dict[str, float]], kept: dict[str, dict[str, float]]
) -> dict[str, dict[str, float]]:
    """Return the mean ratio over whole runs that keep their views, by method."""
    means: dict[str, dict[str, float]] = {}
    for name in AMORTISED:
        fresh, at_hand = views[name]["ratio"], kept[name]["ratio"]
        means[name] = {
            f"{n_epochs} epochs, {n_views} views": round(
                (n_views * fresh + (n_epochs - n_views) * at_hand) / n_epochs, 3
            )
            for n_epochs, n_views in RUNS
        }
    return means


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=tuple(SIZES), default="small")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    size = SIZES[given.size]
    augmentation = size.training.augmentation
    views = measured(given.size, augmentation, given.rounds)
    kept = measured(given.size, replace(augmentation, views=1), given.rounds)
    report(
        f"step_time_{given.size}",
        {
            "data": f"{N_SAMPLES} random images of 32 x 32, {N_SLOTS} classes, batches of "
            f"{size.training.batch_size}; backbone {size.backbone} {size.options}",
            "torch": str(torch.__version__),
            "rounds": given.rounds,
            "views": views,
            "kept views": kept,
            "cached": measured(given.size, Augmentation(), given.rounds),
            "amortised": amortised(views, kept),
        },
    )


if __name__ == "__main__":
    main()
