"""Parts of rows that several threads take beside each other; NumPy lets them run at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")


def part_rows(n_rows: int, n_parts: int) -> list[slice]:
    """Return up to `n_parts` slices that have about as many rows each, and all together."""
    size = -(-n_rows // n_parts)
    return [slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]


def run_parts(pool: Executor, run: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
    """Run one part here and the others in the pool; return what they return, in order."""
    others = [pool.submit(run, part) for part in parts[1:]]
    return [run(parts[0]), *(other.result() for other in others)]
