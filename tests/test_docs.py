"""Documents that cannot drift: commands are described, blocks run, links lead somewhere."""

from __future__ import annotations

import os
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import pytest

from cli.main import root, run
from tests.cli.worlds import Outcome, fill_shop, write_files

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference" / "cli.md"
NEEDS_NO_EXAMPLE = {
    "samespace certificate list",
    "samespace db upgrade",
    "samespace demo",
    "samespace doctor",
    "samespace gallery list",
    "samespace gallery prune",
    "samespace gallery seal",
    "samespace gallery show",
    "samespace key create",
    "samespace key list",
    "samespace lineage",
    "samespace model list",
    "samespace model show",
    "samespace probe list",
    "samespace status",
    "samespace audit",
}
MARKED = re.compile(r"<!-- test -->\n+```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s#]+)(?:#[^)]*)?\)")
# folders of the machine that this was written on, and what points pip to a registry of its own
FOREIGN = re.compile(
    r"(?<![\w.$}])/(?:work|root|opt)/|index-url|trusted-host|find-links|PIP_INDEX", re.IGNORECASE
)
TEXT = {".py", ".md", ".toml", ".txt", ".cfg", ".ini", ".yml", ".yaml", ".json", ".mako", ".sh"}
IGNORED = {".git", ".venv", "build", "dist", "samespace-demo", ".samespace", "__pycache__"}


class Block(NamedTuple):
    language: str
    text: str


def blocks(path: Path) -> list[Block]:
    """The fenced blocks right below a mark."""
    return [Block(*found) for found in MARKED.findall(path.read_text("utf-8"))]


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield name, command
        return
    context = click.Context(command)
    for sub in command.list_commands(context):
        found = command.get_command(context, sub)
        assert found is not None
        yield from commands(found, f"{name} {sub}")


def files() -> Iterator[Path]:
    """Texts of the project: not what tools and virtual environments leave beside it."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [
            name
            for name in folders
            if name not in IGNORED
            and not name.endswith((".egg-info", "_cache"))
            and (not name.startswith(".") or name == ".ci")
        ]
        for name in names:
            path = Path(folder, name)
            if path.suffix in TEXT or name in ("Makefile", "LICENSE", "NOTICE", "run"):
                yield path


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that README and the how-to speak of."""
    monkeypatch.chdir(tmp_path)
    for name in ("SAMESPACE_REGISTRY", "SAMESPACE_STORAGE"):
        monkeypatch.delenv(name, raising=False)
    write_files(tmp_path, np.random.default_rng(3), (200, 5, 3))
    return tmp_path


def run_block(block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    if block.language == "python":
        exec(compile(block.text, "README", "exec"), {"__name__": "__main__"})  # noqa: S102
        return
    assert block.language == "sh"
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words:
            assert words[0] == "samespace", line
            code = run(words[1:])
            assert code == 0, (line, capsys.readouterr().err)


@pytest.mark.parametrize("name", ["README.md", "docs/how-to/your-own-vectors.md"])
def test_marked_blocks_run_as_they_stand(
    name: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = blocks(ROOT / name)
    assert "sh" in {block.language for block in found}
    for block in found:
        run_block(block, capsys)
    assert "products@1" in capsys.readouterr().out


def test_the_probe_set_of_the_how_to_is_registered_and_asked(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill_shop(lambda *words: Outcome(run(list(words)), "", ""))
    for block in blocks(ROOT / "docs" / "how-to" / "register-a-probe-set.md"):
        run_block(block, capsys)
    said = capsys.readouterr().out
    assert "registered probe set 'spring'" in said
    assert said.endswith("COMPATIBLE spring\n")


def test_the_questions_of_the_how_to_are_answered(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for block in blocks(ROOT / "docs" / "how-to" / "your-own-vectors.md"):
        run_block(block, capsys)
    capsys.readouterr()
    found = blocks(ROOT / "docs" / "how-to" / "query-old-and-new.md")
    assert [block.language for block in found] == ["python"] * 6
    for block in found:
        run_block(block, capsys)
    said = capsys.readouterr().out
    assert "['query', 'rank', 'id', 'score', 'raw_score', 'version']" in said
    assert "products@1 first 64 dimensions, re-normalised" in said
    assert "(3, 96) [64 96 64]" in said
    assert "certified_on=('shop',)" in said
    assert "('canaries', 'recent queries', 'dimensions')" in said


def test_the_summaries_and_baselines_of_the_how_to_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for block in blocks(ROOT / "docs" / "how-to" / "measure-a-chain.md"):
        run_block(block, capsys)
    said = capsys.readouterr().out
    assert "AC 1.0\n" in said  # 0.64, 0.66 > 0.61 and 0.71 > 0.70
    assert "(10, 64) (10, 40)" in said


def test_the_configuration_of_the_how_to_trains(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr(sys, "path", list(sys.path))
    config, program = blocks(ROOT / "docs" / "how-to" / "your-own-model.md")
    assert (config.language, program.language) == ("toml", "python")
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(8), 8)
    inputs = rng.normal(size=(8, 5))[labels] + 0.1 * rng.normal(size=(64, 5))
    np.savez(workplace / "train.npz", inputs=inputs.astype(np.float32), labels=labels)
    (workplace / "my_models.py").write_text(
        "from torch import nn\n\ndef build(dim):\n    return nn.Linear(5, dim)\n"
    )
    (workplace / "v2.toml").write_text(config.text)
    first = config.text.replace("96", "64").replace('name = "oca"', 'name = "independent"')
    (workplace / "v1.toml").write_text(first.replace('against = "products@1"', ""))
    assert run(["init"]) == 0
    assert run(["train", "v1.toml"]) == 0, capsys.readouterr().err
    run_block(program, capsys)
    assert run(["lineage", "products"]) == 0
    assert "first 64 dimensions" in capsys.readouterr().out
    sys.modules.pop("my_models", None)


def test_the_objective_of_the_how_to_is_found_and_trains(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The module and its entry point lie in a folder as an installer would leave them."""
    pytest.importorskip("torch")
    module, announced, config = blocks(ROOT / "docs" / "how-to" / "your-own-objective.md")
    site = workplace / "site"
    (site / "my_objectives").mkdir(parents=True)
    (site / "my_objectives" / "__init__.py").touch()
    (site / "my_objectives" / "distil.py").write_text(module.text)
    ((group, points),) = tomllib.loads(announced.text)["project"]["entry-points"].items()
    lines = "".join(f"{name} = {value}\n" for name, value in points.items())
    (site / "my_objectives-1.0.dist-info").mkdir()
    metadata = {"METADATA": "Name: my_objectives\nVersion: 1.0\n"}
    for name, text in {**metadata, "entry_points.txt": f"[{group}]\n{lines}"}.items():
        (site / "my_objectives-1.0.dist-info" / name).write_text(text)
    monkeypatch.syspath_prepend(site)
    labels = np.repeat(np.arange(8), 8)
    inputs = np.random.default_rng(0).normal(size=(64, 5)).astype(np.float32)
    np.savez(workplace / "train.npz", inputs=inputs, labels=labels)
    (workplace / "v2.toml").write_text(config.text)
    first = config.text.replace("96", "64").replace('name = "distil"', 'name = "independent"')
    for line in ('against = "products@1"\n', "options = { image_weight = 10 }\n"):
        first = first.replace(line, "")
    (workplace / "v1.toml").write_text(first)
    assert run(["init"]) == 0
    for name in ("v1.toml", "v2.toml"):
        assert run(["train", name]) == 0, capsys.readouterr().err
    assert run(["lineage", "products"]) == 0
    assert "first 64 dimensions" in capsys.readouterr().out
    for name in [name for name in sys.modules if name.startswith("my_objectives")]:
        del sys.modules[name]


@pytest.mark.parametrize(("name", "command"), list(commands(root, "samespace")))
def test_every_command_is_described_with_an_example(name: str, command: click.Command) -> None:
    assert f"\n## {name}\n" in REFERENCE.read_text("utf-8")
    has_example = "Example:" in (command.help or "")
    assert has_example != (name in NEEDS_NO_EXAMPLE)
    if has_example:
        assert re.search(rf"^ +{name}( |$)", str(command.help), re.MULTILINE)


def test_the_reference_is_what_the_commands_say(monkeypatch: pytest.MonkeyPatch) -> None:
    cogapp = pytest.importorskip("cogapp")
    monkeypatch.chdir(ROOT)
    code = cogapp.Cog().main(["cog", "--check", str(REFERENCE)])
    assert code == 0, "run 'make docs'"


def test_the_exit_codes_are_documented() -> None:
    from registry import errors

    table = (ROOT / "docs" / "reference" / "exit-codes.md").read_text("utf-8")
    codes = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    for code in {0, *codes}:
        assert f"\n| {code} | " in table


def test_relative_links_lead_somewhere() -> None:
    documents = [path for path in files() if path.suffix == ".md"]
    assert len(documents) > 10
    broken = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in documents
        for target in LINK.findall(path.read_text("utf-8"))
        if "://" not in target
        and not target.startswith("mailto:")
        and not (path.parent / target).exists()
    ]
    assert broken == []


def test_nothing_names_this_machine() -> None:
    named = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in files()
        if path != Path(__file__)
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if FOREIGN.search(line) or (len(ROOT.parts) > 2 and str(ROOT) + "/" in line)
    ]
    assert named == []
