from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

import pytest

from registry import ModelVersion, Registry
from tests.registry.service.builders import Site, certify, compatible, found_ids
from tests.registry.service.workers import Outcome, add_at_once, promote_at_once

SPAWN = get_context("spawn")
FAR = datetime(2100, 1, 1, tzinfo=UTC)  # the other processes have the real clock


def run(target: object, arguments: list[tuple[object, ...]], n_outcomes: int) -> list[Outcome]:
    """Run one process for each tuple of arguments, all from the same moment."""
    start, outcomes = SPAWN.Barrier(len(arguments)), SPAWN.Queue()
    workers = [
        SPAWN.Process(target=target, args=(*given, start, outcomes))  # type: ignore[arg-type]
        for given in arguments
    ]
    for worker in workers:
        worker.start()
    found = [outcomes.get(timeout=60) for _ in range(n_outcomes)]
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * len(workers)
    return found


@pytest.fixture
def rivals(registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion) -> None:
    """Two versions that may both take over, whoever comes first."""
    third = compatible(registry, "three", v2, dim=12)
    pairs = [(v2, v1), (third, v1), (v2, third), (third, v2)]
    for query, held in pairs:
        certify(registry, shop, query.ref, held.ref, expires_at=FAR)


def test_of_two_promotions_at_once_that_expect_the_same_one_wins(
    registry: Registry, site: Site, rivals: None
) -> None:
    given = [(site, version, "products@1") for version in ("products@2", "products@3")]
    outcomes = dict(run(promote_at_once, list(given), 2))
    assert sorted(outcomes.values()) == ["AliasMovedError", "promoted"]
    winner = next(version for version, outcome in outcomes.items() if outcome == "promoted")
    assert str(registry.galleries.state("shop").query_version.ref) == winner
    assert len(registry.promotions.history("shop")) == 2
    assert registry.find_tampering() == ()


@pytest.mark.slow
def test_of_two_that_promote_the_same_version_one_is_refused(
    registry: Registry, site: Site, rivals: None
) -> None:
    outcomes = run(promote_at_once, [(site, "products@2", None)] * 2, 2)
    refused, promoted = sorted(outcome for _, outcome in outcomes)
    assert promoted == "promoted"
    assert refused in {"AliasMovedError", "InvalidInputError"}  # it came during, or after
    assert len(registry.promotions.history("shop")) == 2


def test_four_processes_that_add_overlapping_ids(
    registry: Registry, site: Site, shop: str, v1: ModelVersion
) -> None:
    wanted = list(range(100, 112))
    given = [
        (site, f"worker{n}", wanted[n * 3 :] + wanted[: n * 3][:: -1 if n % 2 else 1])
        for n in range(4)
    ]
    outcomes = run(add_at_once, list(given), 4 * len(wanted))
    added = [name.split()[1] for name, outcome in outcomes if outcome == "added"]
    assert sorted(map(int, added)) == wanted, "exactly one wins each id"
    assert {outcome for _, outcome in outcomes} <= {"added", "AlreadyExistsError"}
    assert found_ids(registry, shop, v1) == {*range(20), *wanted}
    assert registry.find_tampering() == ()
    registry.galleries.verify_files(shop)
    n_parts = sum(len(s.parts) for s in registry.galleries.get(shop).segments)
    assert n_parts == 1 + len(wanted)
    n_files = len(list((Path(site.storage) / "galleries").rglob("*.arrow")))
    assert n_files == n_parts, "nobody who lost left a file"
