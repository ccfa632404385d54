"""Parts that threads take beside each other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, get_ident

import pytest

from compat.evaluation import _parts


@pytest.mark.parametrize(("n_rows", "n_parts"), [(10, 3), (10, 1), (2, 5), (8, 4), (9, 8)])
def test_parts_are_all_rows_once(n_rows: int, n_parts: int) -> None:
    parts = _parts.part_rows(n_rows, n_parts)
    assert [row for part in parts for row in range(n_rows)[part]] == list(range(n_rows))
    assert len(parts) <= n_parts
    assert all(part.stop > part.start for part in parts)


def test_parts_run_beside_each_other_and_the_first_one_here() -> None:
    together = Barrier(3, timeout=30)

    def run(part: int) -> tuple[int, int]:
        together.wait()  # passes only if all three have come
        return part, get_ident()

    with ThreadPoolExecutor(2) as pool:
        found = _parts.run_parts(pool, run, [7, 8, 9])
    assert [part for part, _ in found] == [7, 8, 9]
    assert found[0][1] == get_ident()
    assert len({thread for _, thread in found}) == 3


def test_what_fails_in_a_part_fails_here() -> None:
    def run(part: int) -> int:
        return 1 // part

    with ThreadPoolExecutor(2) as pool, pytest.raises(ZeroDivisionError):
        _parts.run_parts(pool, run, [1, 0])
