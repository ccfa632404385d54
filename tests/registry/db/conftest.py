"""Engines of empty databases and of empty registries, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from registry.db import schema
from registry.db.session import make_engine

BOTH = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(params=BOTH)
def blank(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A database that holds nothing."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'blank.db'}"
    else:
        url = request.getfixturevalue("postgres_blank_url")
    engine = make_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture
def engine(blank: Engine) -> Engine:
    """A database with this code's schema."""
    schema.upgrade(blank)
    return blank
