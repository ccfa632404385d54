"""Use cases of class slots: asking who owns which vertex, and giving vertices to new classes."""

from __future__ import annotations

from collections.abc import Sequence

from ..db import slots
from ..db.session import Connection, read, write
from ..domain.canonical import Json
from ..domain.events import EventKind, model_stream
from ..domain.refs import check_name
from ..domain.slots import ClassSlot, Label, Side, SlotTable, allocate
from ..errors import InvalidInputError
from .context import Context

LOCAL = "local"


class Slots:
    """The simplex of each model line and who owns its vertices."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def get(self, model: str) -> SlotTable:
        """Return a model line's slots.

        Raises:
            NotFoundError: if it has no simplex.
        """
        with read(self._context.engine) as connection:
            return slots.get_table(connection, model)

    def assign(
        self,
        model: str,
        labels: Sequence[Label],
        *,
        n_slots: int | None = None,
        supplier: str = LOCAL,
        side: Side = Side.TOP,
        dry_run: bool = False,
    ) -> dict[Label, int]:
        """Return the slot of each class, giving free ones to classes that have none.

        A class keeps its slot for ever, so asking again changes nothing. The model line needs no
        version yet: slots are given before the first one is trained.

        Args:
            model: the model line.
            labels: distinct classes, all integers or all strings.
            n_slots: number of vertices, at least 2; needed when the line has no simplex yet, and
                not to be changed afterwards.
            supplier: who names the classes.
            side: from which end new slots are taken.
            dry_run: make every check and change nothing.

        Raises:
            InvalidInputError: if labels are no such names, too few slots are free, or the number
                of slots is missing or another.
            ConflictError: if somebody else gave slots at the same moment.
        """
        check_name("model", model)
        check_name("supplier", supplier)
        wanted = _checked(labels)
        with write(self._context.engine) as connection:
            table = slots.find_table(connection, model, lock=True)
            n = _checked_size(model, table, n_slots)
            known = {} if table is None else table.of(supplier)
            new = [label for label in wanted if label not in known]
            taken = [] if table is None else [owner.slot for owner in table.owners]
            given = dict(zip(new, allocate(taken, n, len(new), side), strict=True))
            if not dry_run:
                self._record(connection, SlotTable(model, n, ()), given, supplier, table is None)
        return {label: known[label] if label in known else given[label] for label in wanted}

    def _record(
        self,
        connection: Connection,
        table: SlotTable,
        given: dict[Label, int],
        supplier: str,
        is_first: bool,
    ) -> None:
        now, actor = self._context.clock(), self._context.actor
        if is_first:
            slots.insert_simplex(connection, table.model, table.n_slots, at=now, actor=actor)
        if not given:
            return
        owners = [ClassSlot(slot, supplier, label, now, actor) for label, slot in given.items()]
        slots.insert_owners(connection, table.model, owners)
        payload: dict[str, Json] = {
            "n_slots": table.n_slots,
            "supplier": supplier,
            "slots": [[label, slot] for label, slot in given.items()],
        }
        stream = model_stream(table.model)
        self._context.record(connection, stream, EventKind.SLOTS_ASSIGNED, payload)


def _checked(labels: Sequence[Label]) -> list[Label]:
    plain = list(labels)
    kinds = {type(label) for label in plain}
    if not plain or kinds not in ({int}, {str}):
        raise InvalidInputError(
            f"classes must be all integers or all strings, at least one, but are {labels!r:.80}"
        )
    if len(set(plain)) != len(plain):
        raise InvalidInputError("classes must be distinct, but one is named twice")
    return plain


def _checked_size(model: str, table: SlotTable | None, n_slots: int | None) -> int:
    if table is None:
        if n_slots is None or n_slots < 2:
            raise InvalidInputError(
                f"the simplex of {model!r} needs a number of slots, at least 2, but got {n_slots}",
                hint="take as many as there will ever be classes: it is never changed",
            )
        return n_slots
    if n_slots not in (None, table.n_slots):
        raise InvalidInputError(
            f"the simplex of {model!r} has {table.n_slots} slots, not {n_slots}",
            hint="a simplex of another size is another space",
        )
    return table.n_slots
