"""How many threads count scores in this process."""

from __future__ import annotations

import os

_MOST = 8  # more have too little each, and wait for each other


def counting_threads() -> int:
    """Return what OMP_NUM_THREADS says, which BLAS goes by too, or the cores that may be used."""
    given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if given.isdigit() and int(given) > 0:
        return min(int(given), _MOST)
    is_known = hasattr(os, "sched_getaffinity")  # macOS has no such function
    return min(len(os.sched_getaffinity(0)) if is_known else os.cpu_count() or 1, _MOST)
