from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.worlds import Run, snapshot
from tests.registry.service.builders import artifact

REGISTER = ("model", "register", "docs", "--dim", "8", "--provider", "acme", "--made-by", "small@1")


@pytest.fixture
def empty(cli: Run) -> Run:
    assert cli("init").code == 0
    return cli


def test_registers_by_the_makers_word_once(empty: Run) -> None:
    first = empty(*REGISTER, "--json").data
    assert (first["version"], first["dim"], first["is_new"]) == ("docs@1", 8, True)
    again = empty(*REGISTER)
    assert again.code == 0
    assert again.out.startswith("known already as docs@1")


def test_registers_an_artifact_by_its_tensors(empty: Run, tmp_path: Path) -> None:
    artifact(tmp_path / "run", seed=1)
    found = empty("model", "register", "docs", "--artifact", "run", "--json").data
    assert found["provenance"] == "artifact"
    assert found["is_new"]
    artifact(tmp_path / "same", seed=1, metadata="saved again")
    again = empty("model", "register", "docs", "--artifact", "same", "--json").data
    assert (again["version"], again["is_new"]) == ("docs@1", False)


@pytest.mark.parametrize("more", [(), ("--artifact", "run")])
def test_a_dry_run_registers_nothing(empty: Run, tmp_path: Path, more: tuple[str, ...]) -> None:
    artifact(tmp_path / "run")
    before = snapshot(tmp_path)
    given = more and ("model", "register", "docs", *more)
    found = empty(*(given or REGISTER), "--dry-run")
    assert found.out == "all checks passed; nothing was registered\n"
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("docs", "--dim", "8"), "from --artifact, or from --dim, --provider and --made-by"),
        (("docs", "--artifact", "nowhere"), "model.safetensors is missing"),
        (("do/cs", "--dim", "8", "--provider", "a", "--made-by", "b"), "cannot name a model"),
        (("docs", "--dim", "0", "--provider", "a", "--made-by", "b"), "dim"),
        ((*REGISTER[2:], "--compatible-with", "docs@7"), "no model is named 'docs'"),
        ((*REGISTER[2:], "--compatible-with", "docs"), "does not refer to a model version"),
    ],
)
@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_what_cannot_be_registered_is_refused(
    empty: Run, tmp_path: Path, arguments: tuple[str, ...], words: str, dry: tuple[str, ...]
) -> None:
    before = snapshot(tmp_path)
    found = empty("model", "register", *arguments, *dry)
    assert found.code == 2
    assert words in found.error
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
@pytest.mark.parametrize("how", ["vectors", "artifact"])
def test_more_dimensions_than_there_are_cannot_be_compared(
    shop: Run, tmp_path: Path, dry: tuple[str, ...], how: str
) -> None:
    artifact(tmp_path / "run")
    before = snapshot(tmp_path)
    maker = ("--dim", "8", "--provider", "a", "--made-by", "b")
    given = maker if how == "vectors" else ("--artifact", "run")
    arguments = ("model", "register", "products", *given, "--compatible-with", "products@1")
    found = shop(*arguments, "--dims", "64", *dry)
    assert found.code == 2
    assert "the new version has 8 and products@1 has 64; nothing was registered" in found.error
    assert "hint: compare at most 8: --dims 8" in found.error
    assert "products@3" not in found.error
    assert snapshot(tmp_path) == before


def test_a_truncated_weights_file_is_refused(empty: Run, tmp_path: Path) -> None:
    weights = artifact(tmp_path / "run") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-20])
    found = empty("model", "register", "docs", "--artifact", "run")
    assert found.code == 2
    assert "truncated" in found.error
    assert empty("model", "list", "--json").data["versions"] == []


def test_a_changed_artifact_is_not_promoted(empty: Run, tmp_path: Path) -> None:
    empty("model", "register", "docs", "--artifact", str(artifact(tmp_path / "a", seed=1)))
    empty("model", "register", "docs", "--artifact", str(artifact(tmp_path / "b", seed=2)))
    empty("gallery", "create", "shelf", "docs@1")
    for path in (tmp_path / ".samespace" / "models").rglob("model.safetensors"):
        path.write_bytes(path.read_bytes() + b"\0")
    found = empty("promote", "shelf", "docs@2")
    assert found.code == 6
    assert "was changed" in found.error


def test_lists_versions_with_their_aliases(shop: Run) -> None:
    found = shop("model", "list", "--json").data["versions"]
    assert [v["version"] for v in found] == ["products@1", "products@2"]
    assert all(v["provenance"] == "declared" for v in found)
    table = shop("model", "list", "products").out
    assert "products@2" in table
    assert "96" in table


def test_an_empty_registry_has_no_models(empty: Run) -> None:
    assert empty("model", "list").out == "no model is registered yet\n"


def test_shows_a_version_and_what_it_is_compared_with(shop: Run) -> None:
    found = shop("model", "show", "products@2", "--json").data
    assert found["dim"] == 96
    assert "products@1" in found["queries may be compared with"]
    assert "first 64 dimensions" in shop("model", "show", "products@v2").out


@pytest.mark.parametrize("command", ["show", "list"])
def test_an_unknown_name_comes_with_near_ones(shop: Run, command: str) -> None:
    given = "prodcts@1" if command == "show" else "prodcts"
    found = shop("model", command, given)
    assert found.code == 2
    assert "did you mean 'products'?" in found.error


def test_an_unknown_number_lists_the_known_ones(shop: Run) -> None:
    found = shop("model", "show", "products@9")
    assert found.code == 2
    assert "products@2" in found.error


def test_declares_how_two_versions_are_compared(empty: Run) -> None:
    empty(*REGISTER)
    empty(*REGISTER[:-1], "small@2")
    found = empty("model", "declare", "docs@2", "docs@1", "--json").data
    assert found["contract"] == {"kind": "prefix", "dims": 8}
    assert found["both_ways"]
    again = empty("model", "declare", "docs@2", "docs@1", "--dims", "4")
    assert again.code == 5
    assert "already" in again.error


def test_both_directions_are_declared_or_none(empty: Run, tmp_path: Path) -> None:
    """The second one has a contract already, so the first one gets none either."""
    empty(*REGISTER)
    empty(*REGISTER[:-1], "small@2")
    assert empty("model", "declare", "docs@1", "docs@2", "--one-way", "--dims", "4").code == 0
    before = snapshot(tmp_path)
    for dry in ((), ("--dry-run",)):
        found = empty("model", "declare", "docs@2", "docs@1", *dry)
        assert found.code == 5
        known = "queries of docs@1 are compared with vectors of docs@2 already, by the first 4 dim"
        assert known in found.error
        assert "nothing was declared" in found.error
        assert snapshot(tmp_path) == before


def test_a_dry_run_declares_nothing(empty: Run, tmp_path: Path) -> None:
    empty(*REGISTER)
    empty(*REGISTER[:-1], "small@2")
    before = snapshot(tmp_path)
    found = empty("model", "declare", "docs@2", "docs@1", "--dry-run", "--json").data
    assert found["contract"] == {"kind": "prefix", "dims": 8}
    assert found["dry_run"]
    assert "would be compared" in empty("model", "declare", "docs@2", "docs@1", "--dry-run").out
    assert snapshot(tmp_path) == before


def test_a_declaration_may_hold_in_one_direction_only(empty: Run) -> None:
    empty(*REGISTER)
    empty(*REGISTER[:-1], "small@2")
    assert empty("model", "declare", "docs@2", "docs@1", "--one-way", "--dims", "4").code == 0
    shown = empty("model", "show", "docs@1", "--json").data
    assert shown["queries may be compared with"] == {}


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_more_dimensions_than_there_are_cannot_be_declared(
    empty: Run, tmp_path: Path, dry: tuple[str, ...]
) -> None:
    empty(*REGISTER)
    empty(*REGISTER[:-1], "small@2")
    before = snapshot(tmp_path)
    found = empty("model", "declare", "docs@2", "docs@1", "--dims", "9", *dry)
    assert found.code == 2
    assert "9" in found.error
    assert snapshot(tmp_path) == before
