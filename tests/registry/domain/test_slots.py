import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.domain.slots import Side, allocate
from registry.errors import InvalidInputError


@pytest.mark.parametrize(
    ("taken", "n_new", "side", "expected"),
    [
        ((), 3, Side.TOP, (0, 1, 2)),
        ((), 3, Side.BOTTOM, (9, 8, 7)),
        ((0, 2), 2, Side.TOP, (1, 3)),
        ((9, 7), 2, Side.BOTTOM, (8, 6)),
        (range(10), 0, Side.TOP, ()),
    ],
)
def test_free_slots_are_taken_from_one_end(
    taken: tuple[int, ...], n_new: int, side: Side, expected: tuple[int, ...]
) -> None:
    assert allocate(taken, 10, n_new, side) == expected


def test_exhaustion_says_what_is_left() -> None:
    with pytest.raises(InvalidInputError, match=r"3 new classes .* only 2 of 10 are free"):
        allocate(range(8), 10, 3, Side.TOP)


@given(st.sets(st.integers(0, 19)), st.integers(0, 20), st.sampled_from(Side))
def test_no_slot_is_given_twice(taken: set[int], n_new: int, side: Side) -> None:
    if n_new > 20 - len(taken):
        with pytest.raises(InvalidInputError):
            allocate(taken, 20, n_new, side)
        return
    found = allocate(taken, 20, n_new, side)
    assert len({*found, *taken}) == n_new + len(taken)
    assert set(found) <= set(range(20))
