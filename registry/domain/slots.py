"""Class slots: which class owns which vertex of a model line's fixed simplex classifier.

Models that share the simplex are comparable because equal classes stand at equal vertices, whoever
trained them. So the table is kept for ever: a class that has its slot keeps it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import islice

from ..errors import InvalidInputError

Label = int | str


class Side(StrEnum):
    """From which end of the simplex a supplier takes its slots.

    Two suppliers that take from opposite ends need not know of each other until they meet; that
    is the protocol of IAM-CL2R (CVPR 2024), where a downloaded model's classes come from the top
    and the local learner's from the bottom.
    """

    TOP = "top"
    BOTTOM = "bottom"


@dataclass(frozen=True, slots=True)
class ClassSlot:
    """One class and its vertex.

    Attributes:
        slot: number of the vertex, from 0.
        supplier: who names the class; equal labels of two suppliers are two classes.
        label: the class, as the supplier names it.
        assigned_at: since when, in UTC.
        assigned_by: by whom.
    """

    slot: int
    supplier: str
    label: Label
    assigned_at: datetime
    assigned_by: str


@dataclass(frozen=True, slots=True)
class SlotTable:
    """The simplex of a model line and its owners.

    Attributes:
        model: the model line.
        n_slots: number of vertices K; embeddings have K - 1 dimensions.
        owners: the assigned slots, in their order.
    """

    model: str
    n_slots: int
    owners: tuple[ClassSlot, ...]

    @property
    def n_free(self) -> int:
        """Slots that nobody owns."""
        return self.n_slots - len(self.owners)

    def of(self, supplier: str) -> dict[Label, int]:
        """Return a supplier's slots by label."""
        return {owner.label: owner.slot for owner in self.owners if owner.supplier == supplier}


def allocate(taken: Collection[int], n_slots: int, n_new: int, side: Side) -> tuple[int, ...]:
    """Return free slots for new classes, from the first one at that end inwards.

    Args:
        taken: slots that are owned.
        n_slots: number of slots.
        n_new: how many are wanted.
        side: from which end.

    Raises:
        InvalidInputError: if too few are free.
    """
    owned = set(taken)
    n_free = n_slots - len(owned)
    if n_new > n_free:
        raise InvalidInputError(
            f"{n_new} new classes need as many slots, but only {n_free} of {n_slots} are free",
            hint="a larger simplex is another space: begin a new model line with more slots",
        )
    order = range(n_slots) if side is Side.TOP else range(n_slots - 1, -1, -1)
    return tuple(islice((slot for slot in order if slot not in owned), n_new))
