"""Train, register, embed, certify and promote, on classes that two networks learn in a moment."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from compat.augmentation import Augmentation
from compat.probes import Labels, Probe
from compat.training_config import ModelConfig, TrainingConfig, parse_training_config
from compat.training_options import TrainingOptions
from compat.workflow.certifying import certify
from compat.workflow.embedding import embed_inputs
from compat.workflow.record import _options
from compat.workflow.training import TrainingPlan, plan_training, train_version
from registry import ModelVersion, Registry
from registry.domain.certificates import Criterion, Verdict
from registry.domain.policies import Policy
from registry.domain.requirements import Requirement
from registry.errors import DimensionMismatchError, InvalidInputError, NotFoundError
from registry.service import Registration

N_CLASSES, N_INPUTS = 30, 12
OLD_DIM, NEW_DIM = 8, 12
OWN = """
from torch import nn

class Mine(nn.Module):
    def __init__(self, dim, hidden=32):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(12, hidden), nn.ReLU(), nn.Linear(hidden, dim))

    def forward(self, x):
        return self.layers(x)

def build(dim, hidden=32):
    return Mine(dim, hidden)

def no_network(dim):
    return dim
"""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Data:
    """Classes around centres; a nonlinear view of them is what the networks see."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rng = np.random.default_rng(4)
        self.centres = self.rng.normal(size=(N_CLASSES, N_INPUTS)) * 1.5
        self.save("old.npz", np.repeat(np.arange(N_CLASSES // 2), 10))
        self.save("new.npz", np.repeat(np.arange(N_CLASSES), 20))

    def sample(self, labels: Any) -> Any:
        near = self.centres[labels] + 0.9 * self.rng.normal(size=(len(labels), N_INPUTS))
        return near.astype(np.float32)

    def save(self, name: str, labels: Any) -> None:
        np.savez(self.folder / name, inputs=self.sample(labels), labels=labels)

    def config(self, **changes: dict[str, object]) -> TrainingConfig:
        given: dict[str, dict[str, object]] = {
            "model": {
                "name": "docs",
                "backbone": "mlp",
                "options": {"in_features": N_INPUTS, "dim": OLD_DIM, "hidden": [32]},
            },
            "data": {"train": "old.npz"},
            "objective": {"name": "independent"},
            "training": {
                "epochs": 8,
                "batch_size": 50,
                "learning_rate": 0.05,
                "device": "cpu",
            },
        }
        for section, values in changes.items():
            given[section] = {**given[section], **values}
        return parse_training_config(given, directory=self.folder)

    def second(self, objective: str = "oca", dim: int = NEW_DIM) -> TrainingConfig:
        return self.config(
            model={"options": {"in_features": N_INPUTS, "dim": dim, "hidden": [64]}},
            data={"train": "new.npz"},
            objective={"name": objective, "against": "docs@1"},
        )


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return Data(tmp_path)


def run(registry: Registry, data: Data, config: TrainingConfig) -> Registration:
    return train_version(registry, plan_training(registry, config, directory=data.folder))


def test_train_register_embed_certify_promote(registry: Registry, data: Data) -> None:
    first = run(registry, data, data.config()).version
    records: list[float] = []
    plan = plan_training(registry, data.second(), directory=data.folder)
    made = train_version(registry, plan, on_epoch=lambda record: records.append(record.loss))
    second = made.version
    assert made.is_new
    assert (str(first.ref), str(second.ref)) == ("docs@1", "docs@2")
    assert records[-1] < records[0]
    contract = registry.models.contract(second.ref, first.ref)
    assert contract is not None
    assert contract.dims == OLD_DIM
    assert [edge.relation for edge in registry.models.lineage("docs")] == ["trained against: oca"]

    items = np.repeat(np.arange(N_CLASSES), 4)
    asked = np.repeat(np.arange(N_CLASSES), 6)
    raw_items, raw_queries = data.sample(items), data.sample(asked)
    registry.galleries.create("shop", first.ref)
    registry.add("shop", embed_inputs(registry, first, raw_items))
    ids = np.arange(len(asked)) + 1000
    probe = Probe(
        Labels(ids, asked),
        {v.ref: embed_inputs(registry, v, raw_queries, ids) for v in (first, second)},
        Labels(np.arange(len(items)), items),
        embed_inputs(registry, second, raw_items),
    )
    rules = Policy(
        (Requirement("mAP", Criterion.NON_INFERIORITY, 0.2),), control_margin=0.2, n_resamples=400
    )
    forward, back = certify(registry, "shop", second.ref, probe, rules)
    assert forward.certificate.verdict is Verdict.COMPATIBLE
    assert back.is_rollback
    assert len(forward.certificate.matrix) == 4 + 2 * 3  # with those of mixed galleries
    registry.promote("shop", second.ref)
    hits = registry.search("shop", probe.vectors_of(second.ref), 3)
    assert (hits.versions == 1).all()
    assert np.mean(items[hits.ids[:, 0]] == asked) > 0.3


def test_an_independent_twin_declares_nothing(registry: Registry, data: Data) -> None:
    first = run(registry, data, data.config()).version
    with pytest.raises(InvalidInputError, match="makes nothing compatible"):
        run(registry, data, data.second(objective="independent"))
    config = data.config(data={"train": "new.npz"}, training={"seed": 3})
    twin = run(registry, data, config).version
    assert registry.models.contract(twin.ref, first.ref) is None
    assert registry.models.lineage("docs") == ()


def test_the_record_says_how_it_was_trained(registry: Registry, data: Data) -> None:
    run(registry, data, data.config())
    training = run(registry, data, data.second()).version.training
    expected = {
        "objective": "oca",
        "against": "docs@1",
        "backbone": "mlp",
        "epochs": 8,
        "seed": 0,
        "n_samples": 20 * N_CLASSES,
        "n_classes": N_CLASSES,
    }
    assert {name: training[name] for name in expected} == expected
    losses = training["losses"]
    assert isinstance(losses, dict)
    assert set(losses) == {"new", "compatible", "alignment"}
    assert str(data.folder) not in str(training)


def test_the_record_says_what_steps_were_like(registry: Registry, data: Data) -> None:
    options = {
        "batch_size": 8,
        "accumulate": 2,
        "clip_norm": 0.5,
        "amp": "bf16",
        "warmup_epochs": 0.5,
        "cosine": False,
    }
    training = run(registry, data, data.config(training=options)).version.training
    expected = options | {
        "batch_size": 16,
        "batch": 8,
        "processes": 1,
        "augmentation": None,
        "n_rehearsed": 0,
        "rehearsal_share": None,
    }
    assert {name: training[name] for name in expected} == expected
    again = run(registry, data, data.config(training={"seed": 1})).version.training
    assert again["data"] == training["data"]
    assert str(training["data"]).startswith("sha256:")


def test_the_record_says_what_was_augmented() -> None:
    views = Augmentation(shift=0.1, views=3)
    found = _options(TrainingOptions(augmentation=views))["augmentation"]
    assert found == asdict(views)
    assert json.loads(json.dumps(found)) == found


def test_the_same_configuration_gives_the_same_version(registry: Registry, data: Data) -> None:
    first = run(registry, data, data.config())
    again = run(registry, data, data.config())
    assert (first.is_new, again.is_new) == (True, False)
    assert again.version.fingerprint == first.version.fingerprint
    other = run(registry, data, data.config(training={"seed": 1}))
    assert other.is_new


def test_a_run_goes_on_from_its_checkpoint(registry: Registry, data: Data) -> None:
    whole = run(registry, data, data.config()).version
    config = data.config(training={"checkpoint": "state.pt"})
    seen: list[int] = []

    class Stopped(Exception):  # noqa: N818 -- as when somebody presses Ctrl-C
        pass

    def stop(record: Any) -> None:
        if record.epoch == 5:
            raise Stopped

    plan = plan_training(registry, config, directory=data.folder)
    with pytest.raises(Stopped):
        train_version(registry, plan, on_epoch=stop)
    assert len(registry.models.list()) == 1
    plan = plan_training(registry, config, directory=data.folder)
    resumed = train_version(
        registry,
        plan,
        resume=data.folder / "state.pt",
        on_epoch=lambda record: seen.append(record.epoch),
    )
    assert seen[-1] == 8
    assert seen[0] > 1
    assert resumed.version.fingerprint == whole.fingerprint


def test_canaries_travel_with_the_version(registry: Registry, data: Data) -> None:
    from compat.workflow.embedding import canary_deviation

    version = run(registry, data, data.config()).version
    deviation = canary_deviation(registry.models.artifact_directory(version))
    assert deviation is not None
    assert deviation < 1e-5


@pytest.fixture
def own(data: Data, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A network of the user's own, in the folder of the configuration."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (data.folder / "mine_for_tests.py").write_text(OWN)
    yield "mine_for_tests:build"
    sys.modules.pop("mine_for_tests", None)


def own_config(data: Data, backbone: str, dim: int = OLD_DIM, **more: Any) -> TrainingConfig:
    model = {"backbone": backbone, "dim": dim, "options": {"dim": dim}}
    return data.config(model=model, **more)


def test_a_backbone_of_ones_own_is_trained_and_found_again(
    registry: Registry, data: Data, own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(registry, data, own_config(data, own)).version
    assert first.training["backbone"] is None
    assert "mine_for_tests" not in str(first)
    monkeypatch.chdir(data.folder)
    found = embed_inputs(registry, first, data.sample(np.arange(5)), factory=own)
    assert found.vectors.shape == (5, OLD_DIM)
    against = {"name": "oca", "against": "docs@1"}
    config = own_config(data, own, NEW_DIM, objective=against)
    assert run(registry, data, config).version.dim == NEW_DIM
    plan: TrainingPlan = plan_training(
        registry, data.second(), directory=data.folder, old_factory=own
    )
    assert plan.old_encoder is not None
    with pytest.raises(InvalidInputError, match="not in samespace's catalog"):
        plan_training(registry, data.second(), directory=data.folder)


def test_what_gives_no_network_is_refused(registry: Registry, data: Data, own: str) -> None:
    for backbone, words in (
        ("mine_for_tests:no_network", "gave a int, not a network"),
        ("mine_for_tests:biuld", "did you mean|no backbone in mine_for_tests"),
        ("nowhere_at_all:build", "there is no module"),
    ):
        with pytest.raises((InvalidInputError, NotFoundError), match=words):
            plan_training(registry, own_config(data, backbone), directory=data.folder)


def test_a_plan_finds_what_does_not_fit_before_anything_is_trained(
    registry: Registry, data: Data, own: str
) -> None:
    wrong: list[tuple[TrainingConfig, type[Exception], str]] = [
        (
            data.config(model={"options": {"in_features": 9, "dim": 4}}),
            InvalidInputError,
            "backbone 'mlp' cannot take inputs of torch.float32 and shape",
        ),
        (own_config(data, own, 5), DimensionMismatchError, ""),
        (data.second(), NotFoundError, "no model is named 'docs'"),
        (data.config(data={"train": "nowhere.npz"}), NotFoundError, "there is no training data"),
        (data.config(objective={"name": "oca"}), InvalidInputError, "oca"),
    ]
    model = {"backbone": own, "dim": 6, "options": {"dim": 5}}
    wrong[1] = (data.config(model=model), DimensionMismatchError, "features of shape")
    for config, kind, words in wrong:
        with pytest.raises(kind, match=words):
            plan_training(registry, config, directory=data.folder)
    assert registry.models.list() == ()


def test_the_old_version_is_of_the_same_line(registry: Registry, data: Data) -> None:
    run(registry, data, data.config())
    with pytest.raises(InvalidInputError, match="docs@1 is not of the model line 'texts'"):
        plan_training(
            registry,
            data.config(model={"name": "texts"}, objective={"against": "docs@1"}),
            directory=data.folder,
        )


def test_an_old_version_that_takes_other_inputs_is_refused(registry: Registry, data: Data) -> None:
    run(registry, data, data.config())
    labels = np.repeat(np.arange(4), 5)
    np.savez(data.folder / "wide.npz", inputs=np.ones((20, 20), np.float32), labels=labels)
    config = data.config(
        model={"options": {"in_features": 20, "dim": NEW_DIM}},
        data={"train": "wide.npz"},
        objective={"name": "oca", "against": "docs@1"},
    )
    with pytest.raises(InvalidInputError, match="docs@1 cannot embed inputs"):
        plan_training(registry, config, directory=data.folder)


@pytest.mark.parametrize("role", ["against", "init"])
def test_a_version_of_another_modality_is_refused(
    registry: Registry, data: Data, role: str
) -> None:
    """Numbers of tokens, as many as the old network has inputs: it would take them."""
    run(registry, data, data.config())
    tokens = np.ones((20, N_INPUTS), np.int64)
    np.savez(data.folder / "tokens.npz", inputs=tokens, labels=np.repeat(np.arange(4), 5))
    config = data.second() if role == "against" else data.config()
    if role == "init":
        config = replace(config, model=ModelConfig("docs", init="docs@1"))
    config = replace(config, data=replace(config.data, train=data.folder / "tokens.npz"))
    said = r"docs@1 takes float32 of shape \(12,\), the data are int64 of shape \(12,\)"
    with pytest.raises(InvalidInputError, match=said):
        plan_training(registry, config, directory=data.folder)


def test_a_version_without_an_artifact_is_no_teacher(registry: Registry, data: Data) -> None:
    from tests.conftest import declared

    version: ModelVersion = declared(registry, "docs", "acme", dim=OLD_DIM)
    assert version.artifact_path is None
    with pytest.raises(NotFoundError, match="has no artifact"):
        plan_training(registry, data.second(), directory=data.folder)
