from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.worlds import Run, snapshot

ASSIGN = ("slots", "assign", "products")


def test_slots_are_given_and_shown(shop: Run) -> None:
    given = shop(*ASSIGN, "shoe", "bag", "--n-slots", "4", "--json").data
    assert given["slots"] == [{"label": "shoe", "slot": 0}, {"label": "bag", "slot": 1}]
    assert shop(*ASSIGN, "7", "--supplier", "hub", "--side", "bottom").out == (
        "given slots of 'products': 7 3\n"
    )
    found = shop("slots", "show", "products", "--json").data
    assert (found["n_slots"], found["n_free"]) == (4, 1)
    assert found["owners"][-1] == {"slot": 3, "supplier": "hub", "label": 7}
    assert "products: 1 of 4 slots are free" in shop("slots", "show", "products").out


def test_a_dry_run_changes_nothing(shop: Run, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    found = shop(*ASSIGN, "shoe", "--n-slots", "4", "--dry-run")
    assert found.out == "would have given slots of 'products': shoe 0\n"
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((*ASSIGN, "shoe"), "needs a number of slots"),
        ((*ASSIGN, "a", "b", "c", "--n-slots", "2"), "only 2 of 2 are free"),
        (("slots", "show", "products"), "no simplex of a model line is named 'products'"),
    ],
)
def test_what_cannot_be_is_refused(shop: Run, arguments: tuple[str, ...], says: str) -> None:
    found = shop(*arguments)
    assert found.code == 2
    assert says in found.error
