"""The command line, run in this process in a folder of its own."""

from __future__ import annotations

import contextlib
import io
import shutil
from pathlib import Path

import numpy as np
import pytest

from cli.main import run
from tests.cli.worlds import CERTIFY, Outcome, Run, fill_shop, write_files


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs one command line in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SAMESPACE_REGISTRY", raising=False)
    monkeypatch.delenv("SAMESPACE_STORAGE", raising=False)

    def call(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = run(list(arguments))
        return Outcome(code, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def shop_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a filled shop, made once a session by the commands themselves."""
    folder = tmp_path_factory.mktemp("shop")
    write_files(folder, np.random.default_rng(3))

    def quietly(*arguments: str) -> Outcome:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(list(arguments))
        return Outcome(code, out.getvalue(), err.getvalue())

    with contextlib.chdir(folder):
        fill_shop(quietly)
    return folder


@pytest.fixture
def shop(cli: Run, shop_template: Path, tmp_path: Path) -> Run:
    """Runs one command line in a folder with a filled shop and its files."""
    shutil.copytree(shop_template, tmp_path, dirs_exist_ok=True)
    return cli


@pytest.fixture
def upgraded(shop: Run) -> Run:
    """The shop after certifying and promoting its second version."""
    assert shop(*CERTIFY).code == 0
    assert shop("promote", "shop", "products@2").code == 0
    return shop
