"""Simplexes of model lines and the classes that own their vertices."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, insert, select

from ..domain.canonical import canonical_json
from ..domain.slots import ClassSlot, SlotTable
from ..errors import NotFoundError
from .session import to_moment, to_text
from .tables import class_slots, simplexes


def find_table(connection: Connection, model: str, *, lock: bool = False) -> SlotTable | None:
    """Return a model line's slots, or None if it has no simplex; with `lock`, hold its row."""
    query = select(simplexes).where(simplexes.c.model == model)
    simplex = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if simplex is None:
        return None
    rows = connection.execute(
        select(class_slots)
        .where(class_slots.c.simplex_id == simplex.id)
        .order_by(class_slots.c.slot)
    )
    owners = tuple(
        ClassSlot(
            row.slot,
            row.supplier,
            json.loads(row.label),
            to_moment(row.assigned_at),
            row.assigned_by,
        )
        for row in rows
    )
    return SlotTable(model, simplex.n_slots, owners)


def get_table(connection: Connection, model: str) -> SlotTable:
    """Return a model line's slots.

    Raises:
        NotFoundError: if it has no simplex.
    """
    found = find_table(connection, model)
    if found is None:
        names = connection.execute(select(simplexes.c.model).order_by(simplexes.c.model)).scalars()
        raise NotFoundError.among("simplex of a model line", model, tuple(names))
    return found


def insert_simplex(
    connection: Connection, model: str, n_slots: int, *, at: datetime, actor: str
) -> None:
    """Lay down the number of vertices of a model line."""
    values = {"model": model, "n_slots": n_slots, "created_at": to_text(at), "created_by": actor}
    connection.execute(insert(simplexes).values(**values))


def insert_owners(connection: Connection, model: str, owners: Iterable[ClassSlot]) -> None:
    """Give slots to classes."""
    key = select(simplexes.c.id).where(simplexes.c.model == model)
    simplex = connection.execute(key).scalar_one()
    rows = [
        {
            "simplex_id": simplex,
            "slot": owner.slot,
            "supplier": owner.supplier,
            "label": canonical_json(owner.label),
            "assigned_at": to_text(owner.assigned_at),
            "assigned_by": owner.assigned_by,
        }
        for owner in owners
    ]
    connection.execute(insert(class_slots), rows)
