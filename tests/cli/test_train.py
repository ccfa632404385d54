"""Training from a configuration file, on data so small that it takes a moment."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cli.commands.train import _same_command, train
from tests.cli.worlds import Run, snapshot
from tests.plug_ins import install

ROOT = Path(__file__).parents[2]
CONFIG = """
[model]
name = "docs"
backbone = "mlp"
options = {{ in_features = 8, dim = {dim} }}

[data]
train = "train.npz"

[objective]
{objective}

[training]
epochs = 3
batch_size = 16
learning_rate = 0.05
device = "cpu"
"""


@pytest.fixture
def workshop(cli: Run, tmp_path: Path) -> Run:
    """An empty registry, training data, and two configurations."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), 8)
    inputs = (rng.normal(size=(6, 8))[labels] + 0.2 * rng.normal(size=(48, 8))).astype(np.float32)
    np.savez(tmp_path / "train.npz", inputs=inputs, labels=labels, ids=np.arange(48))
    old, new = 'name = "independent"', 'name = "oca"\nagainst = "docs@1"'
    (tmp_path / "v1.toml").write_text(CONFIG.format(dim=4, objective=old))
    (tmp_path / "v2.toml").write_text(CONFIG.format(dim=6, objective=new))
    assert cli("init").code == 0
    return cli


def test_trains_registers_and_embeds(workshop: Run) -> None:
    first = workshop("train", "v1.toml", "--json").data
    assert (first["version"], first["dim"], first["is_new"]) == ("docs@1", 4, True)
    second = workshop("train", "v2.toml")
    assert second.out.startswith("registered docs@2: 6 dimensions, sha256:")
    assert "epoch 3/3  loss " in second.err
    (edge,) = workshop("lineage", "docs", "--json").data["edges"]
    assert edge["contract"] == "first 4 dimensions, re-normalised"
    assert workshop("gallery", "create", "shelf", "docs@1").code == 0
    assert workshop("gallery", "add", "shelf", "--data", "train.npz").code == 0
    search = ("gallery", "search", "shelf", "--data", "train.npz", "-k", "1", "--json")
    hits = workshop(*search).data["queries"]
    assert np.mean([q["query"] == q["hits"][0]["id"] for q in hits]) > 0.9


def test_raw_queries_are_embedded_by_every_version_and_certified(
    workshop: Run, tmp_path: Path
) -> None:
    for config in ("v1.toml", "v2.toml"):
        assert workshop("train", config, "--json").code == 0
    assert workshop("gallery", "create", "shelf", "docs@1").code == 0
    assert workshop("gallery", "add", "shelf", "--data", "train.npz").code == 0
    with np.load(tmp_path / "train.npz") as file:
        inputs, labels = file["inputs"], file["labels"]
    np.savez(tmp_path / "queries.npz", inputs=inputs + np.float32(0.01), labels=labels)
    (tmp_path / "policy.toml").write_text("n_resamples = 300")
    arguments = ("certify", "shelf", "docs@2", "--data", "queries.npz", "--policy", "policy.toml")
    items = ("--gallery-labels", "train.npz", "--gallery-data", "train.npz")
    found = workshop(*arguments, *items, "--json")
    assert found.code in (1, 3)  # six classes show nothing
    forward, back = found.data["certificates"]
    assert back["is_rollback"]
    assert len(forward["matrix"]) == 4 + 2 * 3  # with those of mixed galleries
    assert forward["matrix"]["docs@1 -> docs@1"]["all"]["hit@1"] > 0.95  # no query is left out
    missing = workshop(*arguments[:3], "--data", "train.npz")
    assert missing.code == 2
    assert "--gallery-labels" in missing.error


def test_a_backbone_of_ones_own_is_named_by_its_import_path(
    workshop: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", list(sys.path))
    (tmp_path / "cli_test_models.py").write_text(
        "from torch import nn\n\ndef build(dim, in_features):\n"
        "    return nn.Linear(in_features, dim)\n"
    )
    text = (tmp_path / "v1.toml").read_text()
    (tmp_path / "v1.toml").write_text(text.replace('"mlp"', '"cli_test_models:build"'))
    assert workshop("train", "v1.toml", "--json").data["version"] == "docs@1"
    assert workshop("gallery", "create", "shelf", "docs@1").code == 0
    add = ("gallery", "add", "shelf", "--data", "train.npz")
    refused = workshop(*add)
    assert refused.code == 2
    assert "not in samespace's catalog" in refused.error
    assert workshop(*add, "--factory", "cli_test_models:build").code == 0
    checked = workshop("doctor", "--json").data
    assert checked["n_failed"] == 0
    assert "canaries skipped, the backbone is your own" in str(checked)
    sys.modules.pop("cli_test_models", None)


def test_code_of_somebody_elses_that_cannot_be_imported_is_one_line(
    workshop: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, points = "def build(:", "torn = cli_test_torn"
    install(monkeypatch, tmp_path, group="samespace.objectives", points=points, cli_test_torn=text)
    config = (tmp_path / "v1.toml").read_text()
    for name, broken in (
        ("objective 'torn'", config.replace('"independent"', '"torn"')),
        ("'cli_test_torn:build'", config.replace('"mlp"', '"cli_test_torn:build"')),
    ):
        (tmp_path / "v1.toml").write_text(broken)
        found = workshop("train", "v1.toml")
        assert found.code == 2
        message, hint = found.err.splitlines()
        assert message.startswith(f"error: {name} cannot be imported")
        assert hint.startswith("hint: mend ")


def test_a_dry_run_plans_only(workshop: Run, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    found = workshop("train", "v1.toml", "--dry-run")
    assert found.out == "would train docs: independent on 48 samples of 6 classes, 3 epochs\n"
    assert snapshot(tmp_path) == before


def test_inputs_that_the_model_cannot_take_are_refused(workshop: Run, tmp_path: Path) -> None:
    workshop("train", "v1.toml")
    workshop("gallery", "create", "shelf", "docs@1")
    np.savez(tmp_path / "other.npz", inputs=np.zeros((5, 7), np.float32))
    before = snapshot(tmp_path)
    found = workshop("gallery", "add", "shelf", "--data", "other.npz")
    assert found.code == 2
    assert "docs@1 cannot embed inputs of float32 and shape (5, 7)" in found.error
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("epochs = 3", "epoch = 3", "did you mean 'epochs'"),
        ("[training]", "[trainning]", "did you mean 'training'?"),
        ("epochs = 3", "epochs = 0", "epochs cannot be 0"),
        ("epochs = 3", 'epochs = "many"', "epochs of [training] must be a int"),
        ('"mlp"', '"mpl"', "did you mean 'mlp'?"),
        ('"independent"', '"independant"', "did you mean 'independent'?"),
        ("in_features = 8", "in_featurs = 8", "did you mean 'in_features'?"),
        (
            "in_features = 8",
            "in_features = 9",
            "backbone 'mlp' cannot take inputs of torch.float32",
        ),
        ('"train.npz"', '"tran.npz"', "there is no training data"),
        ('train = "train.npz"', "", "[data] lacks 'train'"),
        ('name = "independent"', 'name = "oca"', "oca"),
        ('"independent"', '"oca"\nagainst = "docs@1"', "no model is named 'docs'"),
        ('name = "docs"', "name = docs", "is not TOML"),
        ('"mlp"', '"my_models:build"', "there is no module 'my_models'"),
    ],
)
def test_a_wrong_configuration_trains_nothing(
    workshop: Run, tmp_path: Path, old: str, new: str, words: str
) -> None:
    path = tmp_path / "v1.toml"
    path.write_text(path.read_text().replace(old, new))
    before = snapshot(tmp_path)
    found = workshop("train", "v1.toml")
    assert found.code == 2
    assert words in found.error
    assert snapshot(tmp_path) == before


def test_without_torch_it_says_what_to_install(
    workshop: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "cli.main.root.main",
        lambda **_: (_ for _ in ()).throw(ModuleNotFoundError("No module", name="torch")),
    )
    found = workshop("train", "v1.toml")
    assert found.code == 2
    assert "this needs torch, which is not installed" in found.error
    assert "pip install -e '.[train]'" in found.error


def test_a_finished_run_is_the_same_version_and_another_one_is_refused(
    workshop: Run, tmp_path: Path
) -> None:
    path = tmp_path / "v1.toml"
    path.write_text(path.read_text() + 'checkpoint = "run.safetensors"\n')
    assert workshop("train", "v1.toml").code == 0
    again = workshop("train", "v1.toml", "--resume", "run.safetensors", "--json")
    assert again.data["is_new"] is False  # the run was finished: the same version
    path.write_text(path.read_text().replace("epochs = 3", "epochs = 4"))
    refused = workshop("train", "v1.toml", "--resume", "run.safetensors")
    assert refused.code == 2
    assert "checkpoint of another run" in refused.err


def test_an_interrupted_training_says_how_to_go_on(
    workshop: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("compat.workflow.training.train", interrupted)
    stopped = workshop("train", "v1.toml")
    assert stopped.code == 130
    assert "nothing is kept: name a file in [training] checkpoint" in stopped.err
    path = tmp_path / "v1.toml"
    path.write_text(path.read_text() + 'checkpoint = "run.safetensors"\n')
    assert "no epoch was finished" in workshop("train", "v1.toml").err
    (tmp_path / "run.safetensors").touch()
    assert "samespace train v1.toml --resume run.safetensors" in workshop("train", "v1.toml").err
    options = ("--old-factory", "my net:build", "--registry", ".samespace")
    said = workshop("train", "v1.toml", *options).err
    line = next(line for line in said.splitlines() if "go on with" in line)
    words = shlex.split(line.partition("go on with: ")[2])
    assert words[:5] == ["samespace", "train", "v1.toml", "--resume", "run.safetensors"]
    assert sorted(words[5:]) == sorted(options)


def test_the_advice_shows_no_password() -> None:
    url = "postgresql://me:secret@host/db"
    context = train.make_context("train", ["v1.toml", "--registry", url, "--threads", "2"])
    with context:
        words = _same_command(context, Path("run.safetensors"))
    assert "--registry 'postgresql://me:***@host/db'" in words
    assert "--threads 2" in words
    assert "secret" not in words


def test_of_processes_that_train_together_only_the_first_tells_of_a_dry_run(
    workshop: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "would train docs" in workshop("train", "v1.toml", "--dry-run").out
    monkeypatch.setenv("RANK", "1")
    other = workshop("train", "v1.toml", "--dry-run")
    assert (other.code, other.out) == (0, "")


def test_a_new_run_says_how_to_keep_or_go_on_with_an_earlier_one(
    workshop: Run, tmp_path: Path
) -> None:
    path = tmp_path / "v1.toml"
    path.write_text(path.read_text() + 'checkpoint = "run.safetensors"\n')
    assert workshop("train", "v1.toml").code == 0
    refused = workshop("train", "v1.toml")
    assert refused.code == 5
    assert "--resume run.safetensors goes on with it" in refused.err


def test_two_processes_train_one_version(workshop: Run, tmp_path: Path) -> None:
    """As `torchrun` starts them: one result, one version, whichever is asked."""
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        port = opened.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    shared |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-c", "from cli.main import main; main()", "train", "v1.toml"]
    started = [
        subprocess.Popen(
            [*line, "--json"],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert json.loads(outputs[0])["version"] == "docs@1"
    assert outputs[1] == ""
    assert len(workshop("model", "list", "--json").data["versions"]) == 1
