from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.worlds import Run, snapshot


def test_makes_a_registry_and_says_what_comes_next(cli: Run, tmp_path: Path) -> None:
    found = cli("init")
    assert found.code == 0
    assert found.out.startswith("made a registry in .samespace\nnext: ")
    assert (tmp_path / ".samespace" / "samespace.db").is_file()


def test_json_names_where_it_is(cli: Run, tmp_path: Path) -> None:
    found = cli("init", "--registry", "elsewhere", "--json").data
    assert found["registry"] == "elsewhere"
    assert found["storage"] == str(tmp_path / "elsewhere")


def test_a_database_url_with_a_storage(cli: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/base/it.db"
    (tmp_path / "base").mkdir()
    assert cli("init", "--registry", url, "--storage", "files").code == 0
    assert (tmp_path / "files" / "galleries").is_dir()
    assert cli("status", "--registry", url, "--storage", "files").code == 0


def test_a_second_time_is_a_conflict_and_changes_nothing(cli: Run, tmp_path: Path) -> None:
    assert cli("init").code == 0
    before = snapshot(tmp_path)
    found = cli("init")
    assert found.code == 5
    assert "already" in found.error
    assert snapshot(tmp_path) == before


def test_a_folder_that_cannot_be_written_is_one_line(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    found = cli("init", "--registry", "file")
    assert found.code == 2
    assert "cannot write to" in found.error


def test_the_environment_names_the_registry(
    cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMESPACE_REGISTRY", str(tmp_path / "mine"))
    assert cli("init").code == 0
    assert (tmp_path / "mine" / "samespace.db").is_file()


def test_a_dry_run_says_where_and_makes_nothing(cli: Run, tmp_path: Path) -> None:
    found = cli("init", "--dry-run", "--registry", "deep/below", "--json").data
    assert (found["registry"], found["dry_run"]) == ("deep/below", True)
    assert found["storage"] == str(tmp_path / "deep" / "below")
    assert cli("init", "--dry-run").out == "would make a registry in .samespace\n"
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_refuses_what_init_would(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    url = f"sqlite:///{tmp_path}/none/it.db"
    assert cli("init").code == 0
    before = snapshot(tmp_path)
    for arguments, code, words in (
        ((), 5, "there is a registry in"),
        (("--registry", "file"), 2, "cannot write to"),
        (("--registry", url, "--storage", "files"), 2, "there is no folder"),
        (("--registry", "sqlite:///it.db", "--storage", "file/x"), 2, "cannot write to"),
    ):
        for dry in ((), ("--dry-run",)):
            found = cli("init", *arguments, *dry)
            assert found.code == code, arguments
            assert words in found.error
            assert snapshot(tmp_path) == before


@pytest.mark.parametrize("url", ["sqlite:///:memory:", "sqlite://", "sqlite:///file:x.db?uri=true"])
@pytest.mark.parametrize("command", ["init", "status"])
def test_a_registry_is_kept_in_a_file(cli: Run, tmp_path: Path, url: str, command: str) -> None:
    for more in ((), ("--storage", "files")):
        found = cli(command, "--registry", url, *more)
        assert found.code == 2
        assert "error: a registry is kept in a file, not in" in found.error
        assert "hint: as in sqlite:///dir/samespace.db" in found.error
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_database_is_refused_by_name_before_its_storage_is(cli: Run) -> None:
    found = cli("init", "--registry", "mysql://host/x")
    assert found.code == 2
    assert "SQLite or PostgreSQL, not in 'mysql'" in found.error
    assert "--storage" not in found.error
