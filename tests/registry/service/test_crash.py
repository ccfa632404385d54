"""Processes that are killed by SIGKILL at chosen and at random points of a write."""

import ast
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from registry import PromotionOptions, Registry
from registry.domain.galleries import SegmentState
from tests.conftest import declared
from tests.registry.service.builders import (
    Site,
    artifact,
    certify,
    compatible,
    embedded,
    found_ids,
)
from tests.registry.service.workers import die_doing, do, write_until_killed

SPAWN = get_context("spawn")
KILLED = -9


def build_shop(registry: Registry) -> None:
    """Version 1 has 20 items and may be followed by version 2."""
    first = declared(registry, "products", "one")
    second = compatible(registry, "two", first, dim=12)
    registry.galleries.create("shop", first.ref)
    registry.add("shop", embedded(first, range(10)))
    registry.add("shop", embedded(first, range(10, 20)))
    certify(registry, "shop", second.ref, first.ref)


def check_whole(registry: Registry) -> set[int]:
    """Make the checks of a doctor, search, prune, and return the ids that are found."""
    assert registry.find_tampering() == ()
    registry.galleries.verify_files("shop")
    before = found_ids(registry, "shop", registry.galleries.state("shop").query_version)
    litter = registry.galleries.litter(older_than_hours=-0.01)
    assert registry.galleries.prune(litter, older_than_hours=-0.01) == litter
    assert registry.galleries.litter(older_than_hours=-0.01) == ()
    registry.galleries.verify_files("shop")
    version = registry.galleries.state("shop").query_version
    assert found_ids(registry, "shop", version) == before
    return {int(item) for item in before}


# --- chosen points

CASES = [
    ("add", "flush before"),
    ("add", "rename after"),
    ("add", "commit before"),
    ("add", "commit after"),
    ("seal", "commit before"),
    ("seal", "commit after"),
    ("delete", "commit before"),
    ("delete", "commit after"),
    ("promote", "commit before"),
    ("promote", "commit after"),
    ("register", "replace after"),
    ("register", "commit before"),
    ("probe", "commit before"),
    ("probe", "commit after"),
]


def kill(site: Site, operation: str, point: str, scratch: Path) -> int | None:
    worker = SPAWN.Process(target=die_doing, args=(site, operation, point, str(scratch)))
    worker.start()
    worker.join(60)
    return worker.exitcode


@pytest.fixture(scope="module")
def wrecks(
    template: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], tuple[Site, int | None]]:
    """What every case left behind, and how its process ended."""
    root = tmp_path_factory.mktemp("wrecks")
    whole = root / "whole"
    shutil.copytree(template, whole)
    with Registry.open(whole) as registry:
        build_shop(registry)
    sites = {}
    for number, case in enumerate(CASES):
        folder = root / str(number)
        shutil.copytree(whole, folder)
        sites[case] = Site(str(folder), str(folder))
    with ThreadPoolExecutor(3) as pool:
        ends = pool.map(
            lambda c: kill(sites[c], c[0], c[1], root / f"{CASES.index(c)}-scratch"), CASES
        )
        return {case: (sites[case], end) for case, end in zip(CASES, ends, strict=True)}


@pytest.mark.parametrize(("operation", "point"), CASES)
def test_killed_at(
    wrecks: dict[tuple[str, str], tuple[Site, int | None]], operation: str, point: str
) -> None:
    site, end = wrecks[operation, point]
    assert end == KILLED
    is_committed = point == "commit after"
    with site.open() as registry:
        litter = registry.galleries.litter(older_than_hours=-0.01)
        has_file = operation in {"add", "seal", "register", "probe"}
        assert len(litter) == (1 if has_file and not is_committed else 0)
        expected = set(range(20))
        if is_committed and operation == "add":
            expected |= {100, 101, 102}
        if is_committed and operation == "delete":
            expected -= {3, 4}
        assert check_whole(registry) == expected
        segment = registry.galleries.get("shop").segments[0]
        is_sealed = segment.state is SegmentState.SEALED
        assert is_sealed == (is_committed and operation == "seal")
        query = registry.galleries.state("shop").query_version
        assert query.ref.number == (2 if is_committed and operation == "promote" else 1)
        assert len(registry.probes.list()) == (is_committed and operation == "probe")
        registry.probes.verify_all("shop")
        assert len(registry.models.list("products")) == 2
        for version in registry.models.list("products"):
            if version.artifact_path is not None:
                registry.models.artifact_directory(version)


@pytest.mark.parametrize(("operation", "point"), [c for c in CASES if c[1] != "commit after"])
def test_what_was_killed_can_be_done_again(
    wrecks: dict[tuple[str, str], tuple[Site, int | None]],
    operation: str,
    point: str,
    tmp_path: Path,
) -> None:
    site, _ = wrecks[operation, point]
    with site.open() as registry:
        do(registry, operation, tmp_path)
        check_whole(registry)
        if operation == "probe":
            assert registry.probes.open("spring")[1] == b"questions"
        if operation == "register":
            version = registry.models.get("products@3")
            registry.models.artifact_directory(version)
            assert not registry.register("products", artifact(tmp_path / "x", seed=5)).is_new


# --- random points


@dataclass
class Log:
    """What a killed process had said: acknowledged, and one thing that it was about to do."""

    items: set[int] = field(default_factory=set)
    query: int = 1
    doubtful: tuple[str, list[int]] | None = None
    n_done: int = 0

    def read(self, path: Path) -> None:
        for line in path.read_text().splitlines():
            word, _, rest = line.partition(" ")
            values = ast.literal_eval(rest)
            if word.endswith("ing"):
                self.doubtful = (word, values)
                continue
            self.doubtful = None
            self.n_done += 1
            if word == "added":
                self.items |= set(values)
            elif word == "deleted":
                self.items -= set(values)
            elif word == "changed":
                (self.query,) = values

    def settle(self, found: set[int], query: int) -> None:
        """Take over what was done and not acknowledged: all of it or nothing."""
        word, values = self.doubtful or ("", [])
        if word == "adding" and set(values) <= found:
            self.items |= set(values)
        elif word == "deleting" and not set(values) & found:
            self.items -= set(values)
        elif word == "changing" and values == [query]:
            self.query = query
        self.doubtful = None


def let_it_write(site: Site, log: Path, first: int, seconds: float) -> None:
    worker = SPAWN.Process(target=write_until_killed, args=(site, str(log), first))
    worker.start()
    deadline = time.monotonic() + 60
    while not log.exists() or log.stat().st_size == 0:
        assert worker.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    time.sleep(seconds)
    worker.kill()
    worker.join(30)
    assert worker.exitcode == KILLED


def kill_again_and_again(site: Site, tmp_path: Path, rng: np.random.Generator, times: int) -> None:
    with site.open() as registry:
        build_shop(registry)
    known = Log(items=set(range(20)))
    for number in range(times):
        path = tmp_path / f"log{number}"
        let_it_write(site, path, 1000 * (number + 1), float(rng.uniform(0.02, 0.5)))
        known.read(path)
        with site.open() as registry:
            query = registry.galleries.state("shop").query_version
            held = visible(registry)
            known.settle(held, query.ref.number)
            assert query.ref.number == known.query
            assert held == known.items, "what was acknowledged is there, and nothing else"
            check_whole(registry)
            if query.ref.number == 2:
                registry.rollback("shop", accept_loss=True)
                known.query = 1
    assert known.n_done > 0


def visible(registry: Registry) -> set[int]:
    """Every live id, also of versions that are hidden at the moment."""
    gallery = registry.galleries.get("shop")
    found: set[int] = set()
    for version in gallery.versions():
        for reader in registry.galleries.readers("shop", version):
            found |= set(reader.take_ids(reader.live_positions()).tolist())
    return found


def test_killed_at_random(site: Site, tmp_path: Path, rng: np.random.Generator) -> None:
    kill_again_and_again(site, tmp_path, rng, 2)


@pytest.mark.slow
def test_killed_at_random_many_times(site: Site, tmp_path: Path, rng: np.random.Generator) -> None:
    kill_again_and_again(site, tmp_path, rng, 40)


# --- a disk that is full


def can_mount() -> bool:
    if os.getuid() != 0 or shutil.which("unshare") is None:
        return False
    done = subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True)
    return done.returncode == 0


@pytest.mark.skipif(not can_mount(), reason="needs root and unshare, to mount a tiny file system")
def test_a_disk_that_runs_full_and_one_that_is_read_only(tmp_path: Path) -> None:
    code = f"from tests.registry.service.workers import fill_disk; fill_disk({str(tmp_path)!r})"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        ["unshare", "-m", sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stdout


# --- two that write where one was killed in the middle of a transaction


def test_a_killed_writer_holds_no_lock(site: Site, tmp_path: Path) -> None:
    with site.open() as registry:
        build_shop(registry)
        assert kill(site, "delete", "commit before", tmp_path) == KILLED
        begun = time.monotonic()
        registry.promote("shop", "products@2", PromotionOptions(reason="at once"))
        assert time.monotonic() - begun < 5
        found: Any = check_whole(registry)
        assert found == set(range(20))
