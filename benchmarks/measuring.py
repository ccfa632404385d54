"""What all benchmarks share: timing side by side, and saying on what they ran."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import faiss
import numpy as np

RESULTS = Path(__file__).parent / "results"


def lowest(runs: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """Return the least seconds of each, timed in turn: what it costs when nothing disturbs it."""
    rounds = [[_seconds(run) for run in runs] for _ in range(repeats)]
    return [min(times) for times in zip(*rounds, strict=True)]


def side_by_side(
    runs: Sequence[Callable[[], object]], repeats: int
) -> tuple[list[float], list[float]]:
    """Time several things in turn, so that a disturbance hits all of them.

    Returns:
        The median seconds of each, and the median over rounds of each one's ratio to the first.
    """
    rounds = [[_seconds(run) for run in runs] for _ in range(repeats)]
    medians = [statistics.median(times) for times in zip(*rounds, strict=True)]
    ratios = [statistics.median(r[i] / r[0] for r in rounds) for i in range(len(runs))]
    return medians, ratios


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def machine() -> dict[str, object]:
    """Return what the figures depend on."""
    commit = _git("rev-parse", "--short", "HEAD")
    # results that an earlier benchmark of the same round has written do not change what is measured
    changed = _git("status", "--porcelain", "--", ":/", ":(exclude,top)benchmarks/results")
    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"],
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "faiss": faiss.__version__,
        "commit": commit + "+" * bool(changed),
    }


def _git(*arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 -- the arguments stand in this file
        ["git", *arguments],  # noqa: S607 -- git is found by PATH
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def report(name: str, figures: dict[str, object], folder: Path = RESULTS) -> None:
    """Print a benchmark's figures and keep them, under ``benchmarks/results`` if nowhere else."""
    body = {"benchmark": name, "machine": machine(), **figures}
    text = json.dumps(body, indent=2)
    print(text)
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(text + "\n")
