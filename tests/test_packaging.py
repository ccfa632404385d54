"""The wheel: what is in it, and that it works without a checkout beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from registry.installation import find_name_clashes

ROOT = Path(__file__).parents[1]
LARGEST = 5 * 2**20


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as `python -m build --wheel` makes it."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(folder)]
    built = subprocess.run(
        [*command, str(ROOT)], capture_output=True, text=True, timeout=300, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_its_top_level_is_the_three_packages(names: list[str]) -> None:
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"registry", "compat", "cli"}
    assert len(tops) == 4


def test_migrations_data_and_licences_are_in_it(names: list[str]) -> None:
    assert {
        "registry/migrations/env.py",
        "registry/migrations/versions/0001_the_registry.py",
        "registry/migrations/versions/0002_class_slots.py",
        "compat/datasets/omniglot28.npz",
        "compat/report/page.css",
        "compat/datasets/LICENSE.omniglot.txt",
    } <= set(names)
    licences = {name.rpartition("/")[2] for name in names if ".dist-info/licenses/" in name}
    assert licences == {"LICENSE", "NOTICE", "LICENSE.omniglot.txt"}


def test_nothing_is_in_it_that_nobody_needs(wheel: Path, names: list[str]) -> None:
    assert wheel.stat().st_size < LARGEST
    assert not [name for name in names if "__pycache__" in name or "/tests/" in name]
    sources = {
        str(path.relative_to(ROOT))
        for package in ("registry", "compat", "cli")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert sources <= set(names)


def test_every_package_is_typed(names: list[str]) -> None:
    assert {f"{package}/py.typed" for package in ("registry", "compat", "cli")} <= set(names)


def test_it_works_from_where_it_was_installed(wheel: Path, tmp_path: Path) -> None:
    target, work = tmp_path / "site", tmp_path / "work"
    work.mkdir()
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*pip, "--target", str(target), str(wheel)], check=True, timeout=120)
    environment = os.environ | {"PYTHONPATH": str(target)}

    def run(program: str) -> Any:
        ended = subprocess.run(
            [sys.executable, "-c", program],
            cwd=work,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        return json.loads(ended.stdout)

    homes = run(
        "import cli, compat, registry, json;"
        "from registry.db.schema import migrations_folder;"
        "print(json.dumps([m.__file__ for m in (cli, compat, registry)]"
        "+ [str(migrations_folder())]))"
    )
    assert all(Path(home).is_relative_to(target) for home in homes)
    assert run("from cli.main import run; run(['init', '--json'])")["registry"] == ".samespace"
    assert (work / ".samespace" / "samespace.db").is_file()
    checked = run("from cli.main import run; run(['doctor', '--json'])")
    assert checked["n_failed"] == 0


def install_fake(folder: Path, name: str, package: str) -> None:
    """Make a folder look as if a distribution with one package were installed in it."""
    (folder / package).mkdir(parents=True)
    (folder / package / "__init__.py").touch()
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "RECORD").write_text(f"{package}/__init__.py,,\n{name}-1.0.dist-info/METADATA,,\n")


def test_another_distribution_of_our_name_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = find_name_clashes()
    install_fake(tmp_path, "fake", "cli")
    install_fake(tmp_path, "innocent", "something")
    monkeypatch.syspath_prepend(tmp_path)
    assert set(find_name_clashes()) - set(before) == {
        "fake ships a package 'cli' too: install samespace in an environment of its own"
    }
