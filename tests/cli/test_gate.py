"""The gate of a pull request: the action is sound, and its script and the recipe really run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.worlds import CERTIFY, Run, snapshot

ROOT = Path(__file__).parents[2]
ACTION = ROOT / ".github" / "actions" / "certify"
HOW_TO = ROOT / "docs" / "how-to" / "gate-a-pull-request.md"
ARGUMENTS = "\n".join((*CERTIFY[3:], "--dry-run"))
BASH = shutil.which("bash")


def load(text: str) -> Any:
    return pytest.importorskip("yaml").safe_load(text)


@pytest.fixture
def job(shop: Run, tmp_path: Path) -> Path:
    """A folder with a filled shop, and `samespace` on the path as an installation would put it."""
    if BASH is None:
        pytest.skip("no bash is installed")
    command = tmp_path / "bin" / "samespace"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{CALL}" "$@"\n')
    command.chmod(0o755)
    return tmp_path


CALL = "from cli.main import main; main()"


def bash(job: Path, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    paths = {"PATH": f"{job / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [str(BASH), "-c", script],
        cwd=job,
        env=os.environ | paths | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def spoil(job: Path) -> None:
    """Let the candidate's queries be noise."""
    shutil.copy(job / "queries_random.npy", job / "queries_new.npy")


def run_action(job: Path, **environment: str) -> tuple[int, dict[str, str], str]:
    """Run the action's script as a runner does; return code, outputs and summary."""
    for name in ("output", "summary"):
        (job / name).write_text("")
    given = {
        "GALLERY": "shop",
        "CANDIDATE": "products@2",
        "ARGUMENTS": ARGUMENTS,
        "REPORTS": "reports",
        "GITHUB_OUTPUT": str(job / "output"),
        "GITHUB_STEP_SUMMARY": str(job / "summary"),
    }
    done = bash(job, f"'{ACTION / 'certify.sh'}'", **(given | environment))
    lines = (job / "output").read_text().splitlines()
    outputs = dict(line.split("=", 1) for line in lines)
    return done.returncode, outputs, (job / "summary").read_text("utf-8")


def test_a_passing_candidate_is_green(job: Path) -> None:
    code, outputs, summary = run_action(job)
    assert (code, outputs) == (0, {"verdict": "COMPATIBLE", "exit-code": "0"})
    assert summary.startswith("## ✓ COMPATIBLE")
    assert {p.name for p in (job / "reports").iterdir()} == {
        "report.html",
        "report.md",
        "junit.xml",
    }


def test_a_failing_candidate_is_red(job: Path) -> None:
    spoil(job)
    code, outputs, summary = run_action(job)
    assert (code, outputs["verdict"]) == (1, "INCOMPATIBLE")
    assert summary.startswith("## ✗ INCOMPATIBLE")


def test_what_was_not_measured_is_red_and_no_old_report_speaks_for_it(job: Path) -> None:
    assert run_action(job)[0] == 0
    code, outputs, summary = run_action(job, CANDIDATE="products@9")
    assert (code, outputs) == (2, {"verdict": "FAILED", "exit-code": "2"})
    assert summary == ""
    assert list((job / "reports").iterdir()) == []


def test_inputs_are_never_commands(job: Path) -> None:
    before = snapshot(job)
    planted = "$(touch planted); touch planted; `touch planted`"
    code, _, _ = run_action(job, GALLERY=planted, ARGUMENTS=f"--policy\n{planted}\n")
    assert code == 2
    assert not (job / "planted").exists()
    assert set(before) <= set(snapshot(job))


def test_the_action_is_yaml_and_names_what_it_has() -> None:
    action = load((ACTION / "action.yml").read_text("utf-8"))
    assert action["runs"]["using"] == "composite"
    steps = action["runs"]["steps"]
    gate, upload, comment = steps
    assert gate["run"] == '"$GITHUB_ACTION_PATH/certify.sh"'
    assert os.access(ACTION / "certify.sh", os.X_OK)
    assert "continue-on-error" not in gate
    for other in (upload, comment):  # nothing but the gate turns the job red
        assert other["continue-on-error"] is True
        assert other["if"].startswith("always()")
    assert "||" in comment["run"]
    assert all("${{" not in step.get("run", "") for step in steps)
    used = set(re.findall(r"inputs\.([\w-]+)", (ACTION / "action.yml").read_text("utf-8")))
    assert used == set(action["inputs"])
    said = {name: out["value"] for name, out in action["outputs"].items()}
    assert said == {n: f"${{{{ steps.certify.outputs.{n} }}}}" for n in ("verdict", "exit-code")}


def test_the_workflow_of_the_how_to_fits_the_action() -> None:
    workflow, artifacts = re.findall(r"```yaml\n(.*?)```", HOW_TO.read_text("utf-8"), re.DOTALL)
    job = load(workflow)["jobs"]["certify"]
    (gate,) = [step for step in job["steps"] if step.get("id") == "gate"]
    action = load((ACTION / "action.yml").read_text("utf-8"))
    assert set(gate["with"]) <= set(action["inputs"])
    assert {n for n, given in action["inputs"].items() if given["required"]} <= set(gate["with"])
    assert load(workflow)["permissions"] == {"contents": "read"}
    assert load(artifacts)["artifacts"]["reports"]["junit"] == "reports/junit.xml"


@pytest.mark.parametrize(("is_good", "code"), [(True, 0), (False, 1)])
def test_the_recipe_runs_as_it_stands(job: Path, is_good: bool, code: int) -> None:
    (recipe,) = re.findall(r"<!-- gate -->\n```sh\n(.*?)```", HOW_TO.read_text("utf-8"), re.DOTALL)
    if not is_good:
        spoil(job)
    done = bash(job, f"set -e\n{recipe}")
    assert done.returncode == code, done.stderr
    assert done.stdout.splitlines()[-1].startswith("COMPATIBLE" if is_good else "INCOMPATIBLE")
    assert len(list((job / "reports").iterdir())) == 3
