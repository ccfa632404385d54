"""The demo's surroundings; the story itself takes minutes and is told by a slow test."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import pytest

from cli.demo.shell import Shell, StoryError
from cli.main import run
from registry.keys import KeyRing
from tests.cli.worlds import Run, snapshot

MARKER = ".made-by-samespace-demo"
DEMO = ("demo", "--directory", "demo", "--json")


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """What an interrupted demo left behind."""
    folder = tmp_path / "demo"
    (folder / ".samespace").mkdir(parents=True)
    for name in (MARKER, "v1.toml", "gallery.npz"):
        (folder / name).touch()
    return folder


@pytest.mark.parametrize("again", [(), ("--again",)])
def test_a_folder_of_somebody_else_is_never_replaced(
    cli: Run, tmp_path: Path, again: tuple[str, ...]
) -> None:
    pytest.importorskip("torch")
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "v1.toml").touch()
    found = cli(*DEMO, *again).data
    assert found["exit_code"] == 5
    assert found["error"]["hint"] == "choose another --directory"
    assert (tmp_path / "demo" / "v1.toml").exists()


def test_what_a_demo_left_is_replaced_on_request_only(cli: Run, left: Path) -> None:
    pytest.importorskip("torch")
    before = snapshot(left)
    found = cli(*DEMO).data
    assert found["exit_code"] == 5
    assert found["error"]["hint"] == "--again replaces it"
    assert snapshot(left) == before


def test_what_the_user_added_is_not_removed(
    cli: Run, left: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr("cli.demo.story.tell", lambda _shell: {})
    (left / "notes.txt").write_text("mine")
    (left / ".DS_Store").touch()
    (left / "own").mkdir()
    (left / "own" / "v1.toml").touch()
    found = cli(*DEMO[:-1], "--again")
    assert (found.code, found.err) == (0, "left in demo: .DS_Store, notes.txt, own\n")
    assert {path.name for path in left.iterdir()} == {MARKER, ".DS_Store", "notes.txt", "own"}
    assert (left / "own" / "v1.toml").exists()


def test_the_demo_signs_with_keys_of_its_own_and_replaces_them(
    cli: Run, left: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setenv("SAMESPACE_KEYS", str(tmp_path / "mine"))
    found: list[str] = []

    def tell(shell: Shell) -> dict[str, object]:
        shell.run("init")
        found.extend(KeyRing().trusted)
        return {}

    monkeypatch.setattr("cli.demo.story.tell", tell)
    for _ in range(2):
        assert cli(*DEMO[:-1], "--again").code == 0
    assert len(set(found)) == 2
    assert (left / ".samespace-keys" / "signing.pem").is_file()
    assert os.environ["SAMESPACE_KEYS"] == str(tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_every_command_is_kept_with_its_code_and_time(cli: Run) -> None:
    shell = Shell()
    assert shell.run("init") == 0
    with pytest.raises(StoryError, match="ended with exit code 5, the story needs 0"):
        shell.run("init")
    assert [(s.command, s.exit_code) for s in shell.steps] == [
        ("samespace init", 0),
        ("samespace init", 5),
    ]
    assert all(step.seconds >= 0 for step in shell.steps)


@pytest.mark.slow
def test_the_whole_story_as_json(left: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    with contextlib.chdir(left.parent):
        assert run([*DEMO, "--again"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["exit_code"] == 0
    assert "$ samespace certify shelf characters@2" in err
    assert found["steps"][0]["command"] == "samespace init"
    assert {step["exit_code"] for step in found["steps"]} == {0, 1, 2, 4}
    assert found["matrix"]["characters@2 -> characters@1"]["unseen"]["mAP"] > 0.4
    verdicts = {
        (c["query_version"], c["gallery_version"]): c["verdict"] for c in found["certificates"]
    }
    assert verdicts["characters@2", "characters@1"] == "COMPATIBLE"
    assert verdicts["characters@3", "characters@1"] == "INCOMPATIBLE"
    assert found["seconds"] >= sum(step["seconds"] for step in found["steps"])
