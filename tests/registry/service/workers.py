"""What the tests of the service let other processes do; some of them die at it."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
from collections.abc import Callable
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np

from registry import PromotionOptions, Registry
from registry.domain.probe_sets import ProbeFacts, ProbeKind
from registry.errors import SamespaceError, StorageError
from tests.conftest import declared
from tests.registry.service.builders import Site, artifact, certify, embedded, found_ids

Outcome = tuple[str, str]


# --- racing


def promote_at_once(
    site: Site, version: str, expect: str | None, start: Barrier, outcomes: Queue[Outcome]
) -> None:
    """Promote at the same moment as somebody else."""
    with site.open(actor=version) as registry:
        start.wait(30)
        try:
            registry.promote("shop", version, PromotionOptions(expect=expect))
        except SamespaceError as error:
            outcomes.put((version, type(error).__name__))
        else:
            outcomes.put((version, "promoted"))


def add_at_once(
    site: Site, name: str, wanted: list[int], start: Barrier, outcomes: Queue[Outcome]
) -> None:
    """Add items one by one, in an order of one's own, and tell which ones were taken."""
    with site.open(actor=name) as registry:
        version = registry.models.get("products@1")
        start.wait(30)
        for item in wanted:
            try:
                registry.add("shop", embedded(version, [item]))
            except SamespaceError as error:
                outcomes.put((f"{name} {item}", type(error).__name__))
            else:
                outcomes.put((f"{name} {item}", "added"))


# --- dying


def die() -> None:
    """End at once, as by `kill -9`: nothing is flushed, closed or rolled back."""
    os.kill(os.getpid(), signal.SIGKILL)


def _dying(step: Callable[..., Any], *, after: bool, at: int = 1) -> Callable[..., Any]:
    """Wrap a function so that the process dies before or after its n-th call."""
    calls = 0

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at and not after:
            die()
        result = step(*args, **kwargs)
        if calls == at:
            die()
        return result

    return wrapped


def die_at(registry: Registry, point: str) -> None:
    """Let this process die at a point of the next write."""
    what, _, when = point.partition(" ")
    after = when == "after"
    if what == "commit":
        dialect: Any = registry._context.engine.dialect
        dialect.do_commit = _dying(dialect.do_commit, after=after)
    elif what == "flush":
        os.fsync = _dying(os.fsync, after=after)
    elif what == "rename":
        pathlib.Path.rename = _dying(pathlib.Path.rename, after=after)  # type: ignore[method-assign]
    elif what == "replace":
        pathlib.Path.replace = _dying(pathlib.Path.replace, after=after)  # type: ignore[method-assign]
    else:
        raise ValueError(point)


def do(registry: Registry, operation: str, scratch: Path) -> None:
    """One write on the gallery that `build_shop` made."""
    if operation == "add":
        registry.add("shop", embedded(registry.models.get("products@1"), [100, 101, 102]))
    elif operation == "delete":
        registry.galleries.delete("shop", np.array([3, 4]))
    elif operation == "seal":
        registry.galleries.seal("shop")
    elif operation == "promote":
        registry.promote("shop", "products@2")
    elif operation == "register":
        registry.register("products", artifact(scratch / "made", seed=5))
    elif operation == "probe":
        facts = ProbeFacts(ProbeKind.LABELS, 3, "c" * 64, "q" * 64)
        registry.probes.register("spring", "shop", facts, b"questions")
    else:
        raise ValueError(operation)


def die_doing(site: Site, operation: str, point: str, scratch: str) -> None:
    """Die at a chosen point of an operation."""
    with site.open() as registry:
        registry.galleries.check_delete("shop", np.array([1]))  # files are open, as in a service
        die_at(registry, point)
        do(registry, operation, Path(scratch))


def write_until_killed(site: Site, log: str, first: int) -> None:
    """Add, delete, seal, promote and roll back for ever; each line of the log is acknowledged."""
    with site.open() as registry, Path(log).open("ab", buffering=0) as file:
        number = first
        while True:
            serving = registry.galleries.state("shop").serving
            version = registry.models.get(f"products@{serving.query_version}")
            ids = [3 * number, 3 * number + 1, 3 * number + 2]
            file.write(f"adding {ids}\n".encode())
            registry.add("shop", embedded(version, ids))
            file.write(f"added {ids}\n".encode())
            if number % 3 == 1:
                file.write(f"deleting [{ids[1]}]\n".encode())
                registry.galleries.delete("shop", np.array([ids[1]]))
                file.write(f"deleted [{ids[1]}]\n".encode())
            if number % 4 == 2:
                registry.galleries.seal("shop")
            if number % 5 == 3:
                _change_version(registry, file)
            number += 1


def _change_version(registry: Registry, file: Any) -> None:
    query = registry.galleries.state("shop").serving.query_version
    other = 3 - query
    refs = [registry.models.get(f"products@{n}").ref for n in (other, query)]
    certify(registry, "shop", *refs)
    file.write(f"changing [{other}]\n".encode())
    if other == 2:
        registry.promote("shop", refs[0])
    else:
        registry.rollback("shop")
    file.write(f"changed [{other}]\n".encode())


# --- a disk that is really full


def fill_disk(folder: str) -> None:
    """Fill a tiny file system, find everything as it was, then go on with more room."""

    def mount(options: str) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "samespace", folder], check=True)

    mount("size=600k")
    with Registry.create(folder, actor="tester") as registry:
        version = declared(registry, "products", "one")
        registry.galleries.create("shop", version.ref)
        items: set[int] = set()
        refusals: list[StorageError] = []
        while len(refusals) < 5:
            batch = range(len(items), len(items) + 20)
            try:
                registry.add("shop", embedded(version, batch))
            except StorageError as error:
                refusals.append(error)
            else:
                items |= set(batch)
        assert len(items) >= 20
        assert all("full" in str(e) or "No space left" in str(e) for e in refusals), refusals
        _expect(registry, items, version)
        mount("remount,size=4m")
        registry.add("shop", embedded(version, [10**6]))
        registry.galleries.seal("shop")
        items |= {10**6}
        _expect(registry, items, version)
    mount("remount,ro")
    try:
        with Registry.open(folder) as registry:
            registry.add("shop", embedded(version, [10**6 + 1]))
    except StorageError as error:
        refusals.append(error)
    assert len(refusals) == 6, "a read-only disk was written"
    print(refusals[-1])  # noqa: T201 -- the test reads it
    mount("remount,rw")
    with Registry.open(folder) as registry:
        # a disk may fill at the very COMMIT, and then the file stays: see `write_naming`
        left = registry.galleries.litter(older_than_hours=-0.01)
        assert len(left) <= len(refusals)
        registry.galleries.prune(left, older_than_hours=-0.01)
        assert registry.galleries.litter(older_than_hours=-0.01) == ()
        _expect(registry, items, version)


def _expect(registry: Registry, items: set[int], version: Any) -> None:
    assert found_ids(registry, "shop", version) == items
    assert registry.find_tampering() == ()
    registry.galleries.verify_files("shop")
