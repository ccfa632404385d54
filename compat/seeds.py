"""Seeds: every random number of a training run follows from one seed and its place in the run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive_seed(seed: int, *place: int) -> int:
    """Return the seed of one place in a run, such as an epoch, independent of all others.

    Args:
        seed: the run's seed, at least 0.
        place: numbers that name the place, each at least 0.
    """
    words = np.random.SeedSequence([seed, *place]).generate_state(2, np.uint32)
    return int(words[0]) << 31 | int(words[1]) >> 1


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's global generators within a block, and give back their states after it."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
