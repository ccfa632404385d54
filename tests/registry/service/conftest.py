"""Every test of the service runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry import ModelVersion, Registry
from registry.galleries.threads import set_index_threads
from tests.conftest import Clock, declared
from tests.registry.service.builders import Site, compatible, embedded


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Searches this small only wait for each other's threads."""
    set_index_threads(1)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def site(request: pytest.FixtureRequest, template: Path, tmp_path: Path) -> Site:
    """An empty registry."""
    folder = tmp_path / "home"
    shutil.copytree(template, folder)
    if request.param == "sqlite":
        return Site(str(folder), str(folder))
    (folder / "samespace.db").unlink()
    return Site(request.getfixturevalue("postgres_url"), str(folder))


@pytest.fixture
def registry(site: Site, clock: Clock) -> Iterator[Registry]:
    with site.open(clock=clock) as opened:
        yield opened


@pytest.fixture
def shop(registry: Registry, v1: ModelVersion) -> str:
    """A gallery with the items 0 to 19 of version 1."""
    registry.galleries.create("shop", v1.ref)
    registry.add("shop", embedded(v1, range(20)))
    return "shop"


@pytest.fixture
def v2(registry: Registry, v1: ModelVersion) -> ModelVersion:
    """A version whose first 8 of 12 dimensions are version 1's."""
    return compatible(registry, "two", v1, dim=12)


@pytest.fixture
def unrelated(registry: Registry, v1: ModelVersion) -> ModelVersion:
    """A version that nobody declared comparable with version 1."""
    return declared(registry, "products", "unrelated", dim=12)
