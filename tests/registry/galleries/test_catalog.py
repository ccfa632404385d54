from __future__ import annotations

from types import ModuleType, SimpleNamespace

import pytest

from registry.domain.galleries import IndexSpec, Metric
from registry.errors import InvalidInputError, NotFoundError
from registry.galleries import _exact, catalog


def test_built_in_back_ends_are_found() -> None:
    assert set(catalog.BACKENDS.names()) >= {"exact", "faiss"}
    assert catalog.load_backend("exact") is _exact


def test_an_unknown_back_end_lists_near_names() -> None:
    with pytest.raises(NotFoundError, match="no index back end is named 'fais'") as caught:
        catalog.load_backend("fais")
    assert "faiss" in str(caught.value.hint)


def test_a_plug_in_must_offer_all_three_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("mine")
    module.__dict__.update(check=print, build=print)
    point = SimpleNamespace(name="mine", value="mine", load=lambda: module)
    monkeypatch.setattr("registry.catalog.entry_points", lambda **_: [point])
    with pytest.raises(InvalidInputError, match="'mine' has no 'open' in 'mine'"):
        catalog.load_backend("mine")
    module.__dict__.update(open=print)
    assert catalog.load_backend("mine") is module


def test_a_spec_is_checked_as_far_as_is_known() -> None:
    catalog.check_spec(IndexSpec("faiss", "PQ5"))
    with pytest.raises(InvalidInputError):
        catalog.check_spec(IndexSpec("faiss", "PQ5"), dim=8, metric=Metric.L2)
    with pytest.raises(NotFoundError):
        catalog.check_spec(IndexSpec("nothing"))
