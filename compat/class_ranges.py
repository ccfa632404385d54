"""Class labels as a line of text, short where they follow each other: ``0..499 512``."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from registry.arrays import Int64Array

MOST = 100_000  # classes that are written down
_PART = re.compile(r"(-?\d+)(?:\.\.(-?\d+))?")


def write_ranges(labels: Iterable[int]) -> str | None:
    """Return labels as numbers and ranges that include both ends; None if they are too many."""
    found = np.unique(np.fromiter(labels, np.int64))
    if len(found) > MOST:
        return None
    runs = np.split(found, np.flatnonzero(np.diff(found) != 1) + 1)
    return " ".join(_text(run) for run in runs if len(run))


def _text(run: Int64Array) -> str:
    return str(run[0]) if len(run) == 1 else f"{run[0]}..{run[-1]}"


def read_ranges(text: str) -> Int64Array | None:
    """Return the labels that `write_ranges` wrote; None if the text is something else."""
    parts = [_PART.fullmatch(part) for part in text.split()]
    ends = [(int(p[1]), int(p[2] or p[1])) for p in parts if p is not None]
    if len(ends) != len(parts) or sum(max(last - first + 1, 0) for first, last in ends) > MOST:
        return None
    return np.array([n for first, last in ends for n in range(first, last + 1)], dtype=np.int64)
