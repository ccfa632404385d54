from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from registry.catalog import Catalog
from registry.errors import BackendUnavailableError, InvalidInputError, NotFoundError

THINGS = Catalog("thing", {"one": "json", "two": "samespace_needs_this"}, "samespace.none", "train")


def plug_in(monkeypatch: pytest.MonkeyPatch, name: str, loaded: object) -> None:
    point = SimpleNamespace(name=name, value="somewhere:it", load=lambda: loaded)

    def points(*, group: str) -> list[SimpleNamespace]:
        return [point] if group == THINGS.group else []

    monkeypatch.setattr("registry.catalog.entry_points", points)


def test_built_ins_are_imported_when_asked_for() -> None:
    assert THINGS.names() == ("one", "two")
    assert THINGS.load("one") is sys.modules["json"]


def test_a_missing_dependency_names_the_extra() -> None:
    with pytest.raises(BackendUnavailableError, match="needs samespace_needs_this") as caught:
        THINGS.load("two")
    assert caught.value.hint == "in samespace's checkout: pip install -e '.[train]'"


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(NotFoundError, match="no thing is named 'zzz'") as caught:
        THINGS.load("zzz")
    assert caught.value.hint == "known: one, two"


def test_plug_ins_are_found_and_built_ins_win(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, "three", sys)
    assert THINGS.names() == ("one", "three", "two")
    assert THINGS.load("three") is sys
    plug_in(monkeypatch, "one", sys)
    assert THINGS.load("one") is sys.modules["json"]


def test_a_plug_in_must_be_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, "three", object())
    with pytest.raises(InvalidInputError, match=r"'three' is not a module: somewhere:it"):
        THINGS.load("three")
