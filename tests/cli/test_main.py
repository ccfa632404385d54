"""The command line as a whole: help, JSON everywhere, errors, and what is not imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from cli.main import root, run
from tests.cli.worlds import CERTIFY, Run

HEAVY = (
    "torch",
    "faiss",
    "numpy",
    "sqlalchemy",
    "mlflow",
    "alembic",
    "pyarrow",
    "scipy",
    "cryptography",
)
ROOT = Path(__file__).parents[2]
ADD = ("gallery", "add", "shelf", "--vectors", "items.npy", "--ids", "item_ids.txt")
FLOW = (
    ("model", "list"),
    ("model", "show", "products@2"),
    ("gallery", "create", "shelf", "products@1"),
    ADD,
    ("gallery", "seal", "shelf"),
    ("gallery", "list"),
    ("gallery", "show", "shelf"),
    ("gallery", "search", "shelf", "--vectors", "queries_old.npy"),
    ("gallery", "delete", "shelf", "sku-0001", "--yes"),
    ("gallery", "prune", "--yes"),
    ("slots", "assign", "products", "shoe", "--n-slots", "4"),
    ("slots", "show", "products"),
    ("policy", "init", "own.toml"),
    ("policy", "check", "own.toml"),
    ("probe", "register", "spring", "--gallery", "shop", *CERTIFY[7:11]),
    ("probe", "list"),
    ("probe", "show", "spring"),
    CERTIFY,
    ("certificate", "list", "shop"),
    ("report", "shop", "-o", "report.html"),
    ("promote", "shop", "products@2"),
    ("rollback", "shop"),
    ("status",),
    ("lineage", "products"),
    ("audit",),
    ("doctor",),
    ("db", "upgrade"),
    ("db", "adopt"),
    ("key", "create"),
    ("key", "show"),
    ("key", "list"),
)
# tested in files of their own: they need another beginning
ELSEWHERE = {"init", "train", "demo", "model register", "model declare", "key trust"} | {
    f"certificate {verb}" for verb in ("show", "verify", "export", "replay", "revoke")
}


def commands(
    group: click.Command = root, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(group, click.Group):
        yield " ".join(path), group
        return
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield from commands(command, (*path, name))


COMMANDS = dict(commands())


def named(arguments: tuple[str, ...]) -> str:
    return next(name for name in COMMANDS if " ".join(arguments).startswith(name))


def test_every_command_is_in_the_flow() -> None:
    assert {named(arguments) for arguments in FLOW} | ELSEWHERE == set(COMMANDS)


def test_json_of_every_command_goes_alone_to_stdout(shop: Run) -> None:
    for arguments in FLOW:
        found = shop(*arguments, "--json")
        assert found.data["exit_code"] == 0, arguments
    register = ("model", "register", "docs", "--dim", "4", "--provider", "a", "--made-by")
    for maker in "bc":
        assert shop(*register, maker, "--json").data
    assert shop("model", "declare", "docs@2", "docs@1", "--json").data
    assert shop("init", "--registry", "other", "--json").data


def test_people_get_text(shop: Run) -> None:
    for arguments in FLOW:
        found = shop(*arguments)
        assert found.code == 0, arguments
        assert found.out.strip()
        assert not found.out.startswith("{")


@pytest.mark.parametrize("name", COMMANDS)
def test_an_error_is_json_too(cli: Run, name: str) -> None:
    found = cli(*name.split(), "--nonsense", "--json").data
    assert found["exit_code"] == 2
    assert set(found["error"]) == {"kind", "message", "hint"}
    assert "--nonsense" in found["error"]["message"]


@pytest.mark.parametrize(("name", "command"), COMMANDS.items())
def test_every_command_has_help_with_a_first_sentence(
    cli: Run, name: str, command: click.Command
) -> None:
    found = cli(*name.split(), "--help")
    assert (found.code, found.err) == (0, "")
    assert command.help is not None
    assert command.help.split("\n\n")[0].rstrip().endswith(".")
    assert all(getattr(p, "help", "") or isinstance(p, click.Argument) for p in command.params)
    assert any("--json" in p.opts for p in command.params)


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_is_short_of_nothing_heavy(flag: str) -> None:
    program = (
        "import sys\n"
        "from cli.main import run\n"
        f"code = run([{flag!r}])\n"
        f"print(code, [m for m in {HEAVY} if m in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert ended.stdout.splitlines()[-1] == "0 []"
    assert "Exit codes: 0 done or COMPATIBLE, 1 INCOMPATIBLE" in ended.stdout


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (("statsu",), "Did you mean status or slots?"),
        (("gallery", "sael"), "Did you mean seal?"),
        (("model", "regster"), "Did you mean register?"),
        (("xyzzy",), "No such command 'xyzzy'."),
    ],
)
def test_a_mistyped_command_comes_with_near_ones(
    cli: Run, typed: tuple[str, ...], meant: str
) -> None:
    found = cli(*typed)
    assert found.code == 2
    assert meant in found.error


@pytest.mark.parametrize("group", [(), ("model",), ("gallery",), ("db",)])
def test_a_group_alone_shows_its_help(cli: Run, group: tuple[str, ...]) -> None:
    found = cli(*group)
    assert found.code == 2
    assert found.err.startswith("Usage: samespace")
    assert "error:" not in found.err


def test_the_version_is_the_distributions(cli: Run) -> None:
    found = cli("--version")
    assert found.code == 0
    assert found.out.startswith("samespace 0.")


def test_an_interrupt_ends_with_130(shop: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_self: object, _name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("registry.service.galleries.Galleries.seal", interrupted)
    assert shop("gallery", "seal", "shop").code == 130
    found = json.loads(shop("gallery", "seal", "shop", "--json").out)
    assert found["error"]["message"] == "interrupted; what was committed stays"
    assert found["exit_code"] == 130


def test_a_fault_of_ours_asks_for_a_report(shop: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_self: object) -> None:
        raise ZeroDivisionError("never\nmind")

    monkeypatch.setattr("registry.service.galleries.Galleries.list", broken)
    found = shop("gallery", "list")
    assert found.code == 2
    assert found.err == (
        "error: ZeroDivisionError: never mind\n"
        "hint: this is a fault of samespace: run again with --traceback and report it\n"
    )


@pytest.mark.parametrize("arguments", [("--traceback", "status"), ("status", "--traceback")])
def test_a_traceback_is_shown_on_request_only(cli: Run, arguments: tuple[str, ...]) -> None:
    found = cli(*arguments)
    assert found.code == 2
    assert "Traceback (most recent call last)" in found.err
    assert "error: there is no samespace registry" in found.err
    assert "Traceback" not in cli("status").err


def test_the_installed_command_runs(shop: Run, tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("samespace")
    if not command.exists():
        pytest.skip("samespace is not installed beside this Python")
    ended = subprocess.run(
        [command, "gallery", "list", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout)["galleries"][0]["gallery"] == "shop"


def test_run_gives_codes_and_never_raises(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    assert run(["nonsense"]) == 2
    capsys.readouterr()
