"""Populations of clusters of queries whose true mean difference is known, to draw samples from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from registry.arrays import BoolArray, Float64Array

SIZES = {
    "single": ((1,), (1.0,)),
    "fixed": ((20,), (1.0,)),
    "skewed": ((1, 2, 5, 20, 50), (0.4, 0.3, 0.2, 0.07, 0.03)),
    "worse_if_large": ((1, 10), (0.0, 0.0)),  # 10 queries where the cluster is lost, else 1
}
SHAPES = ("binary", "ternary", "skewed")
FOLLOWS = 0.8  # probability that a query goes with its cluster


@dataclass(frozen=True)
class World:
    """A population of clusters whose mean difference over queries is known.

    A cluster is lost with probability `lost`; what is lost differs by about -`loss`, the rest by
    `gain` in the mean.
    """

    shape: str
    sizes: str
    mean: float
    gain: float
    loss: float
    lost: float

    @property
    def largest(self) -> int:
        """The most queries of any cluster."""
        return max(SIZES[self.sizes][0])


def make_world(shape: str, sizes: str, mean: float, *, may_gain: bool) -> World:
    """Return the world of that mean; lost clusters are ten times as large in `worse_if_large`."""
    loss = 0.5 if shape == "skewed" else 1.0
    gain = {"binary": 0.05 if may_gain else 0.0, "ternary": 0.03, "skewed": 0.1 / 3}[shape]
    weight = 10.0 if sizes == "worse_if_large" else 1.0
    lost = (gain - mean) / ((gain - mean) + weight * (loss + mean))
    return World(shape, sizes, mean, gain, loss, lost)


def draw(
    world: World, n_trials: int, n_units: int, rng: np.random.Generator
) -> tuple[Float64Array, Float64Array]:
    """Return sums of differences and sizes of clusters. Shape: (n_trials, n_units)."""
    is_lost = rng.random((n_trials, n_units)) < world.lost
    if world.sizes == "worse_if_large":
        sizes = np.where(is_lost, 10, 1)
        return _values(world, is_lost, rng) * sizes, sizes.astype(np.float64)
    choices, shares = SIZES[world.sizes]
    sizes = rng.choice(choices, size=(n_trials, n_units), p=shares)
    sums = np.zeros(sizes.shape)
    own = _values(world, is_lost, rng)
    for j in range(world.largest):
        is_there = np.nonzero(sizes > j)
        if world.largest == 1:
            return own, sizes.astype(np.float64)
        follows = rng.random(len(is_there[0])) < FOLLOWS
        others = _values(world, rng.random(len(follows)) < world.lost, rng)
        sums[is_there] += np.where(follows, own[is_there], others)
    return sums, sizes.astype(np.float64)


def _values(world: World, is_lost: BoolArray, rng: np.random.Generator) -> Float64Array:
    if world.shape == "binary":
        return np.where(is_lost, -world.loss, world.gain)
    if world.shape == "ternary":
        return np.where(is_lost, -1.0, 1.0 * (rng.random(is_lost.shape) < world.gain))
    small_gains = 0.1 * rng.random(is_lost.shape) ** 2
    return np.where(is_lost, -rng.beta(2, 2, is_lost.shape), small_gains)
