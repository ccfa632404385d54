from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

from cli.policies import describe, read_policy
from registry.domain.policies import Policy
from tests.cli.worlds import CERTIFY, Run


def test_the_default_policy_is_written_with_every_key_and_read_back(
    cli: Run, tmp_path: Path
) -> None:
    assert cli("policy", "init").out.startswith("wrote policy.toml\n")
    text = (tmp_path / "policy.toml").read_text("utf-8")
    assert read_policy(tmp_path / "policy.toml") == Policy()
    assert set(tomllib.loads(text)) == set(Policy().to_json())
    assert "# largest_unit = " in text
    assert "# planned_attempts = " in text
    assert list(tmp_path.iterdir()) == [tmp_path / "policy.toml"]


def test_every_key_is_explained_in_the_line_above(cli: Run, tmp_path: Path) -> None:
    assert cli("policy", "init", "mine.toml").code == 0
    lines = (tmp_path / "mine.toml").read_text("utf-8").splitlines()
    top = lines[: lines.index("[[requirements]]") + 1]
    keys = [i for i, line in enumerate(top) if line and not line.startswith("#")]
    assert len(keys) == len(Policy().to_json())
    assert all(top[i - 1].startswith("# ") for i in keys)


def test_nothing_is_overwritten(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text("mine")
    found = cli("policy", "init")
    assert found.code == 5
    assert "there is a file policy.toml already" in found.error
    assert (tmp_path / "policy.toml").read_text() == "mine"
    assert "there is no folder nowhere" in cli("policy", "init", "nowhere/policy.toml").error


def test_a_policy_is_said_in_words(cli: Run, tmp_path: Path) -> None:
    cli("policy", "init")
    found = cli("policy", "check", "policy.toml")
    assert found.code == 0
    for words in (
        "one-sided confidence 0.95",
        "  mAP better",
        "  hit@1 not worse by more than 0.02",
        "all attempts on the same queries share the error",
        "each class counts once, resampled by class",
        "fewer than 10 independent units",
        "lives 90 days",
        f"policy {Policy().digest}",
    ):
        assert words in found.out
    data = cli("policy", "check", "policy.toml", "--json").data
    assert data["digest"] == Policy().digest
    assert Policy.from_json(data["policy"]) == Policy()


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (Policy(average="query", largest_unit=9), "no class has more than 9, resampled by class"),
        (Policy(unit="query"), "each query counts once, resampled by query"),
    ],
)
def test_what_counts_once_is_said(policy: Policy, words: str) -> None:
    assert any(words in line for line in describe(policy))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("confidence = 0.9", "unknown key 'confidence'"),
        ("confidence_level = 1.0", "confidence_level must be in [0.5, 1)"),
        ("n_resamples = 3", "n_resamples must be at least 200"),
        ("average = 'ratio'", "does not hold for classes of unequal size"),
        ("average = 'query'", "needs largest_unit"),
        ("requirements = 3", "every requirement is a table"),
        ("[[requirements]]\nmetric = 'hit@0'\ncriterion = 'superiority'", "no metric is named"),
        ("seed 3", "is not TOML"),
    ],
)
def test_what_no_certification_would_take_is_refused(
    cli: Run, tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "policy.toml").write_text(text)
    found = cli("policy", "check", "policy.toml")
    assert found.code == 2
    assert words in found.error


def test_a_file_that_is_missing_is_named(cli: Run) -> None:
    found = cli("policy", "check", "nowhere.toml")
    assert found.code == 2
    assert "there is no file nowhere.toml" in found.error


def test_what_was_checked_is_what_certifies(shop: Run) -> None:
    digest = shop("policy", "check", "policy.toml", "--json").data["digest"]
    made = shop(*CERTIFY, "--dry-run", "--json").data["certificates"][0]
    assert Policy.recorded(made["policy"]).digest == digest


def test_what_is_required_elsewhere_is_said_in_words(cli: Run, tmp_path: Path) -> None:
    cli("policy", "init")
    text = (tmp_path / "policy.toml").read_text("utf-8")
    more = """
[[requirements]]
metric = "index-recall@10"
on = "served"
criterion = "non-inferiority"
margin = 0.02

[[requirements]]
metric = "mAP"
on = "mixed"
criterion = "superiority"
"""
    top = 'groups = ["all", "new"]\nmixed = [0.1, 0.5]\nbound = "bca"\n'
    (tmp_path / "policy.toml").write_text(top + text + more, "utf-8")
    found = cli("policy", "check", "policy.toml")
    assert found.code == 0
    for words in (
        "in the groups all, new, at one-sided",
        "  index-recall@10 on served not worse by more than 0.02",
        "  mAP on mixed better",
        "mixed: the gallery with 10%, 50% of its items embedded again",
        "served: by the gallery's own index",
        "bounds by the BCa bootstrap, too sure of itself",
    ):
        assert words in found.out


YAML = """
confidence_level: 0.9
groups: [all]
requirements:
  - {metric: mAP, criterion: superiority}
  - {metric: hit@1, criterion: non-inferiority, margin: 0.02}
"""


def test_a_policy_may_be_yaml(cli: Run, tmp_path: Path) -> None:
    for name in ("policy.yaml", "policy.yml"):
        (tmp_path / name).write_text(YAML)
        found = read_policy(tmp_path / name)
        assert found == Policy(confidence_level=0.9, groups=("all",))
        assert cli("policy", "check", name).code == 0
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert read_policy(tmp_path / "empty.yaml") == Policy()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [1", "is not YAML: ParserError: while parsing"),
        ("!!python/object/apply:os.system ['true']", "is not YAML: ConstructorError: could not"),
        ("- mAP", "is no table of keys, but list"),
        ("requirements: mAP", "every requirement is a table"),
        ("confidence: 0.9", "unknown key 'confidence'"),
        ("? [1]\n: 2", "found unhashable key"),
        ("1: 2\nx: 3", "unknown key '1'"),
    ],
)
def test_what_is_no_policy_in_yaml_either(cli: Run, tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "policy.yaml").write_text(text)
    found = cli("policy", "check", "policy.yaml")
    assert found.code == 2
    assert says in found.error


def test_yaml_without_pyyaml_says_what_to_install(
    cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    (tmp_path / "policy.yaml").write_text(YAML)
    found = cli("policy", "check", "policy.yaml")
    assert "which needs PyYAML" in found.error
    assert "pip install 'samespace[yaml]'" in found.err
