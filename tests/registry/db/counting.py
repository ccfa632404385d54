"""Counting in a database, in a process of its own that imports nothing else."""

from __future__ import annotations

from sqlalchemy import text

from registry.db.session import make_engine, write


def count_up(url: str, times: int) -> None:
    """Read, then write what was read plus one: the driver's own defaults lose updates so."""
    engine = make_engine(url)
    query = "SELECT value FROM counter"
    query += " FOR UPDATE" if engine.dialect.name == "postgresql" else ""
    for _ in range(times):
        with write(engine) as connection:
            value = connection.exec_driver_sql(query).scalar_one()
            connection.execute(text("UPDATE counter SET value = :v"), {"v": value + 1})
    engine.dispose()
