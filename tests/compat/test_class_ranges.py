from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compat.class_ranges import MOST, read_ranges, write_ranges


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ([3], "3"),
        ([0, 1, 2, 3], "0..3"),
        ([12, 0, 1, 2, 1], "0..2 12"),
        ([-3, -2, 0], "-3..-2 0"),
        ([], ""),
    ],
)
def test_neighbours_are_one_range(labels: list[int], text: str) -> None:
    assert write_ranges(labels) == text


@given(st.lists(st.integers(-30, 30) | st.integers(-(2**62), 2**62)))
def test_what_was_written_is_read(labels: list[int]) -> None:
    text = write_ranges(labels)
    assert text is not None
    found = read_ranges(text)
    assert found is not None
    assert found.tolist() == sorted(set(labels))


def test_too_many_are_not_written_down() -> None:
    assert write_ranges(range(MOST)) == f"0..{MOST - 1}"
    assert write_ranges(range(MOST + 1)) is None


@pytest.mark.parametrize("text", ["cats", "1,2", "1..", "0..9 x", "1..2..3", f"0..{10**12}"])
def test_what_is_something_else_is_not_read(text: str) -> None:
    assert read_ranges(text) is None
