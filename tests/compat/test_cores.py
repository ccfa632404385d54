"""How many threads count."""

from __future__ import annotations

import pytest

from compat.cores import counting_threads


@pytest.mark.parametrize(
    ("given", "expected"), [("1", 1), ("3", 3), (" 2,4 ", 2), ("1000", 8)], ids=str
)
def test_goes_by_what_blas_goes_by(
    given: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert counting_threads() == expected


@pytest.mark.parametrize("given", ["", "0", "many", "-1"])
def test_otherwise_takes_the_cores(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 5}, raising=False)
    assert counting_threads() == 3
    monkeypatch.delattr("os.sched_getaffinity")  # as on macOS
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert counting_threads() == 1
