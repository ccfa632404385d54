"""What a benchmark keeps between calls: finished models and results, by the code that made them.

The folder's name holds a digest of that code and of the arguments that change the numbers, so that
the same command goes on where it was interrupted, and nothing older than a change is used again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import compat
from benchmarks.measuring import RESULTS, report

SEEDS = (0, 1, 2)
OVERRIDES = {
    "epochs": "epochs of a model",
    "per_class": "training images a class; 0 for all",
    "test_per_class": "test images a class; 0 for all",
}


@dataclass(frozen=True)
class Kept:
    """Where a benchmark keeps what is finished.

    Attributes:
        folder: of models, results and, if anything was overridden, the report.
        digest: of the code and the arguments, of which the folder's name holds the beginning.
        overrides: what the command line changed of the size, by name.
        seeds: which the command asked for.
    """

    folder: Path
    digest: str
    overrides: Mapping[str, int]
    seeds: Sequence[int]

    @property
    def is_whole(self) -> bool:
        """Whether the benchmark ran as it stands in the code, over all seeds or more."""
        return not self.overrides and set(SEEDS) <= set(self.seeds)

    @property
    def results(self) -> Path:
        """Where the report belongs: only those of whole benchmarks are under version control."""
        return RESULTS if self.is_whole else self.folder

    def result(self, name: str, make: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """Return the result of a name, made now if there is none, with its seconds and device."""
        path = self.folder / f"{name}.json"
        if not path.is_file():
            began = time.perf_counter()
            made = {**make(), "seconds": time.perf_counter() - began, "device": _device()}
            partial = path.with_name(path.name + ".partial")
            partial.write_text(json.dumps(made))
            partial.replace(path)
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def report(self, name: str, figures: Mapping[str, object]) -> None:
        """Print and keep the figures, with the digest and what was overridden."""
        made_by = {"digest": self.digest, "overrides": dict(self.overrides)}
        report(name, {**made_by, "seeds": list(self.seeds), **figures}, self.results)


def add_arguments(parser: argparse.ArgumentParser, work: Path, overrides: Sequence[str]) -> None:
    """Add the arguments that the benchmarks of objectives share.

    Args:
        parser: the benchmark's.
        work: the folder that is used if none is named.
        overrides: which of `OVERRIDES` the benchmark knows.
    """
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--work", type=Path, default=work, help="where finished models are kept")
    for name in overrides:
        words = f"{OVERRIDES[name]}, to try it out: the report is then written into the work folder"
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, help=words)


def kept(given: argparse.Namespace, benchmark: Path) -> Kept:
    """Return where the benchmark keeps what it makes with the arguments given; it is made.

    Args:
        given: the command line.
        benchmark: the benchmark's own file.
    """
    values = {name: getattr(given, name, None) for name in OVERRIDES}
    overrides = {name: value for name, value in values.items() if value is not None}
    size = getattr(given, "size", "small")
    digest = _digest(benchmark, {"size": size, **overrides})
    folder: Path = given.work / f"{size}-{digest[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    return Kept(folder, digest, overrides, given.seeds)


def _digest(benchmark: Path, arguments: Mapping[str, object]) -> str:
    """Return the SHA-256 of the sources that the numbers depend on, and of the arguments."""
    library = Path(compat.__file__).parent
    sources = {f"compat/{path.relative_to(library)}": path for path in library.rglob("*.py")}
    sources |= {f"shared/{path.name}": path for path in Path(__file__).parent.glob("*.py")}
    sources[benchmark.name] = benchmark
    digests = {
        name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in sources.items()
    }
    text = json.dumps([digests, dict(arguments)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _device() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
