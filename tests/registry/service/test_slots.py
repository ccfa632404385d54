from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from registry import Registry
from registry.domain.events import EventKind
from registry.domain.slots import Side
from registry.errors import ConflictError, InvalidInputError, InvalidRefError, NotFoundError
from tests.registry.service.builders import Site


def test_a_class_keeps_its_slot(registry: Registry) -> None:
    first = registry.slots.assign("products", ["shoe", "bag"], n_slots=5)
    assert first == {"shoe": 0, "bag": 1}
    assert registry.slots.assign("products", ["hat", "bag"]) == {"hat": 2, "bag": 1}
    table = registry.slots.get("products")
    assert (table.n_slots, table.n_free) == (5, 2)
    assert table.of("local") == {"shoe": 0, "bag": 1, "hat": 2}
    assert {owner.assigned_by for owner in table.owners} == {registry.actor}


def test_suppliers_meet_in_the_middle_and_never_collide(registry: Registry) -> None:
    registry.slots.assign("products", [0, 1, 2], n_slots=5, supplier="hub")
    mine = registry.slots.assign("products", [0, 1], side=Side.BOTTOM)
    assert mine == {0: 4, 1: 3}
    with pytest.raises(InvalidInputError, match=r"1 new classes .* only 0 of 5 are free"):
        registry.slots.assign("products", [0, 9], side=Side.BOTTOM)
    assert registry.slots.get("products").of("local") == mine


def test_numbers_and_texts_are_different_classes(registry: Registry) -> None:
    registry.slots.assign("products", [7], n_slots=4)
    assert registry.slots.assign("products", ["7"]) == {"7": 1}
    assert registry.slots.assign("products", np.array([7]).tolist()) == {7: 0}


def test_what_was_given_is_in_the_chain_of_events(registry: Registry) -> None:
    registry.slots.assign("products", ["a", "b"], n_slots=4)
    registry.slots.assign("products", ["a"])
    events = [e for e in registry.audit() if e.kind is EventKind.SLOTS_ASSIGNED]
    assert [e.payload["slots"] for e in events] == [[["a", 0], ["b", 1]]]
    assert registry.find_tampering() == ()


def test_a_dry_run_gives_nothing(registry: Registry) -> None:
    would = registry.slots.assign("products", ["a"], n_slots=4, dry_run=True)
    assert would == {"a": 0}
    with pytest.raises(NotFoundError):
        registry.slots.get("products")
    assert registry.audit() == ()


@pytest.mark.parametrize(
    ("labels", "n_slots", "says"),
    [
        ([], 4, "all integers or all strings"),
        ([1, "a"], 4, "all integers or all strings"),
        ([1.5], 4, "all integers or all strings"),
        ([True], 4, "all integers or all strings"),
        ([3, 3], 4, "named twice"),
        ([1], None, "needs a number of slots, at least 2, but got None"),
        ([1], 1, "at least 2, but got 1"),
        ([1, 2, 3], 2, "only 2 of 2 are free"),
    ],
)
def test_what_makes_no_sense_is_refused(
    registry: Registry, labels: list[Any], n_slots: int | None, says: str
) -> None:
    with pytest.raises(InvalidInputError, match=says):
        registry.slots.assign("products", labels, n_slots=n_slots)
    assert registry.audit() == ()


def test_the_simplex_is_never_resized(registry: Registry) -> None:
    registry.slots.assign("products", [1], n_slots=4)
    with pytest.raises(InvalidInputError, match="has 4 slots, not 5"):
        registry.slots.assign("products", [1], n_slots=5)


def test_names_are_checked(registry: Registry) -> None:
    with pytest.raises((InvalidInputError, InvalidRefError)):
        registry.slots.assign("a/b", [1], n_slots=4)
    with pytest.raises((InvalidInputError, InvalidRefError)):
        registry.slots.assign("products", [1], n_slots=4, supplier="a/b")


def test_two_that_assign_at_once_share_no_slot(registry: Registry, site: Site) -> None:
    registry.slots.assign("products", ["first"], n_slots=64)

    def assign(number: int) -> None:
        with site.open() as other:
            for i in range(5):
                label = f"{number}-{i}"
                while True:
                    try:
                        other.slots.assign("products", [label])
                        break
                    except ConflictError:
                        continue

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(assign, range(4)))
    owners = registry.slots.get("products").owners
    assert sorted(owner.slot for owner in owners) == list(range(21))
    assert registry.find_tampering() == ()
