"""Fixtures that all tests share: a registry that was migrated once, a clock that is set by hand."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from registry import ModelVersion, Registry, SpaceDescription
from registry.db.tables import metadata
from registry.keys import KeyRing
from tests.postgres import Server, running_server, why_not

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs the project's shared data where they are not laid beside the checkout."""
    if SHARED.is_dir():
        return
    absent = pytest.mark.skip(reason=f"no shared data at {SHARED}")
    for item in items:
        if item.get_closest_marker("shared_data") is not None:
            item.add_marker(absent)


@pytest.fixture(scope="session", autouse=True)
def key_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A key ring of the tests' own, for other processes too; nobody's real one is touched."""
    folder = tmp_path_factory.mktemp("keyring") / "keys"
    before = os.environ.get("SAMESPACE_KEYS")
    os.environ["SAMESPACE_KEYS"] = str(folder)
    KeyRing().create()
    yield folder
    os.environ.pop("SAMESPACE_KEYS")
    if before is not None:
        os.environ["SAMESPACE_KEYS"] = before


class Clock:
    """Moves on by a second whenever it is asked."""

    def __init__(self) -> None:
        self.now = datetime(2026, 5, 3, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty registry, migrated once a session and copied for each test."""
    folder = tmp_path_factory.mktemp("template")
    Registry.create(folder).close()
    return folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """A PostgreSQL server of our own, or a skip that says why there is none."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with running_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_migrated(postgres_server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a database that was migrated once a session."""
    postgres_server.run("CREATE DATABASE registry")
    url = postgres_server.url("registry")
    Registry.create(url, storage=tmp_path_factory.mktemp("postgres")).close()
    return url


@pytest.fixture
def postgres_url(postgres_server: Server, postgres_migrated: str) -> str:
    """The URL of an empty registry in PostgreSQL: the same database, emptied for each test."""
    children_first = reversed(metadata.sorted_tables)
    deletions = [f"DELETE FROM {table}" for table in children_first]  # noqa: S608
    postgres_server.run("; ".join(deletions), "registry")
    return postgres_migrated


@pytest.fixture
def postgres_blank_url(postgres_server: Server) -> Iterator[str]:
    """The URL of a database in PostgreSQL that holds nothing."""
    name = f"blank_{uuid.uuid4().hex}"
    postgres_server.run(f"CREATE DATABASE {name}")
    yield postgres_server.url(name)
    postgres_server.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def home(template: Path, tmp_path: Path) -> Path:
    """A folder with an empty registry."""
    folder = tmp_path / "home"
    shutil.copytree(template, folder)
    return folder


@pytest.fixture
def registry(home: Path, clock: Clock) -> Iterator[Registry]:
    with Registry.open(home, actor="tester", clock=clock) as opened:
        yield opened


def declared(registry: Registry, name: str, made_by: str, dim: int = 8) -> ModelVersion:
    """Register a maker of vectors and return the version."""
    description = SpaceDescription({}, {}, normalised=False, dim=dim)
    return registry.models.register_vectors(name, description, {"made_by": made_by}).version


@pytest.fixture
def v1(registry: Registry) -> ModelVersion:
    return declared(registry, "products", "one")


@pytest.fixture
def v2(registry: Registry, v1: ModelVersion) -> ModelVersion:
    return declared(registry, "products", "two", dim=12)
