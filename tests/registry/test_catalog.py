from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from registry.catalog import Catalog
from registry.errors import BackendUnavailableError, InvalidInputError, NotFoundError
from tests.plug_ins import install

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


@pytest.mark.parametrize(
    ("number", "text", "words"),
    [
        (
            1,
            "import samespace_needs_this",
            "ModuleNotFoundError: No module named 'samespace_needs_",
        ),
        (2, "from json import absent", "ImportError: cannot import name 'absent' from 'json'"),
        (3, "def broken(:\n", "SyntaxError: "),
        (4, "raise RuntimeError('two\\nlines')", "RuntimeError: two lines$"),
        (5, "raise ValueError", "ValueError$"),
    ],
)
def test_a_plug_in_that_cannot_be_imported_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int, text: str, words: str
) -> None:
    name = f"broken_thing_{number}"
    install(monkeypatch, tmp_path, group=THINGS.group, points=f"mine = {name}", **{name: text})
    with pytest.raises(InvalidInputError, match=words) as caught:
        THINGS.load("mine")
    assert str(caught.value).startswith(f"thing 'mine' cannot be imported from '{name}': ")
    assert "\n" not in str(caught.value)
    assert "uninstall" in (caught.value.hint or "")
    assert THINGS.load("one") is sys.modules["json"]  # the others are there as ever


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("absent_thing", "ModuleNotFoundError: No module named 'absent_thing'"),
        ("json:absent", "AttributeError: .*'json' has no attribute 'absent'"),
    ],
)
def test_an_entry_point_that_points_to_nothing_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str, words: str
) -> None:
    install(monkeypatch, tmp_path, group=THINGS.group, points=f"mine = {value}")
    with pytest.raises(InvalidInputError, match=words):
        THINGS.load("mine")


def test_what_a_plug_in_says_itself_is_passed_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = (
        "from registry.errors import BackendUnavailableError\n"
        "raise BackendUnavailableError('it needs a licence', hint='buy one')\n"
    )
    points = "mine = licensed_thing"
    install(monkeypatch, tmp_path, group=THINGS.group, points=points, licensed_thing=text)
    with pytest.raises(BackendUnavailableError, match=r"^it needs a licence$") as caught:
        THINGS.load("mine")
    assert caught.value.hint == "buy one"


def test_a_plug_in_must_offer_what_its_kind_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    things = replace(THINGS, offers=("Options", "build"))
    text = "class Options: ...\nbuild = 3\n"
    points = "mine = poor_thing"
    install(monkeypatch, tmp_path, group=THINGS.group, points=points, poor_thing=text)
    with pytest.raises(InvalidInputError, match="'mine' has no 'build' in 'poor_thing'") as caught:
        things.load("mine")
    assert caught.value.hint == "a module of this kind holds Options and build"
    assert THINGS.load("mine") is sys.modules["poor_thing"]
