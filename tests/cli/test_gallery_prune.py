from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from tests.cli.worlds import Run, parts, snapshot
from tests.registry.service.builders import artifact


@pytest.fixture
def litter(shop: Run, tmp_path: Path) -> Path:
    """What an interrupted command left behind two hours ago."""
    path = parts(tmp_path)[0].with_name("left-behind.arrow")
    path.write_bytes(b"half a file")
    then = path.stat().st_mtime - 7200
    os.utime(path, (then, then))
    return path


def test_removes_what_no_row_names(shop: Run, litter: Path, tmp_path: Path) -> None:
    assert "'samespace gallery prune' removes them" in shop("doctor").out
    before = snapshot(tmp_path)
    would = shop("gallery", "prune", "--dry-run", "--json").data
    assert would["files"] == [str(litter.relative_to(tmp_path / ".samespace"))]
    assert snapshot(tmp_path) == before
    assert shop("gallery", "prune", "--yes").out.startswith("removed 1 file\n")
    assert not litter.exists()
    assert len(parts(tmp_path)) == 1
    assert shop("gallery", "search", "shop", "--vectors", "queries_old.npy").code == 0


def test_young_files_may_belong_to_somebody(shop: Run, litter: Path) -> None:
    os.utime(litter)
    assert shop("gallery", "prune", "--yes").out == "removed no files\n"
    assert litter.exists()


def test_where_nobody_can_answer_it_refuses(
    shop: Run, litter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    found = shop("gallery", "prune")
    assert found.code == 2
    assert "add --yes" in found.error
    assert litter.exists()


def test_models_that_no_row_names_go_and_named_ones_stay(shop: Run, tmp_path: Path) -> None:
    shop("model", "register", "docs", "--artifact", str(artifact(tmp_path / "run")))
    models = tmp_path / ".samespace" / "models"
    (named,) = (models / "docs").iterdir()
    left, young = models / "docs" / ".half-copied", models / "other" / "0123456789abcdef"
    for folder in (left, young):
        artifact(folder, seed=1)
    for path in (*named.iterdir(), named, *left.iterdir(), left):
        os.utime(path, (path.stat().st_mtime - 7200,) * 2)
    assert "1 folder that nothing names" in shop("doctor").out
    before = snapshot(named)
    found = shop("gallery", "prune", "--yes", "--json").data
    assert found["files"] == ["models/docs/.half-copied"]
    assert not left.exists()
    assert young.exists()
    assert shop("gallery", "prune", "--yes", "--older-than", "0").out.startswith(
        "removed 1 folder\n"
    )
    assert not young.exists()
    assert snapshot(named) == before
    assert shop("doctor").code == 0


@pytest.mark.parametrize("hours", ["-1", "nan", "soon"])
def test_an_age_is_a_number_of_hours(shop: Run, litter: Path, hours: str) -> None:
    found = shop("gallery", "prune", "--yes", "--older-than", hours)
    assert found.code == 2
    assert "hint: " in found.error
    assert litter.exists()


def test_only_what_was_really_removed_is_reported(
    shop: Run, litter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the user thinks, one of two files is about to be named: it was made young."""
    second = litter.with_name("second.arrow")
    second.write_bytes(b"x")
    os.utime(second, (0, 0))
    monkeypatch.setattr("cli.commands.gallery_prune.confirm", lambda *_, **__: os.utime(litter))
    found = shop("gallery", "prune", "--json").data
    assert [Path(name).name for name in found["files"]] == ["second.arrow"]
    assert litter.exists()
    assert not second.exists()
