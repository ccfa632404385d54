"""Chains of three versions for every objective: dimensions and classes grow, contracts follow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from compat.classifiers import read_classifier
from compat.objectives.bct import BCT
from compat.training_config import TrainingConfig
from compat.workflow.embedding import canary_deviation, embed_inputs, load_version
from compat.workflow.slots import plan_slots
from compat.workflow.training import train_version
from registry import Registry
from registry.domain.canonical import Json
from registry.domain.contracts import ContractKind
from registry.errors import ConflictError, DimensionMismatchError, InvalidInputError, NotFoundError
from tests.compat.workflow.lines import N_INPUTS, Line


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def line(registry: Registry, tmp_path: Path) -> Line:
    made = Line(registry, tmp_path)
    for name, n_classes in (("a.npz", 4), ("b.npz", 6), ("c.npz", 8)):
        made.save(name, range(n_classes))
    return made


def check_embeds(line: Line, number: int, dim: int) -> None:
    """The registered artifact embeds raw inputs, and its canaries give what they gave."""
    version = line.registry.models.get(f"docs@{number}")
    assert version.dim == dim
    vectors = embed_inputs(line.registry, version, line.sample(np.arange(5))).vectors
    assert vectors.shape == (5, dim)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    deviation = canary_deviation(line.registry.models.artifact_directory(version))
    assert deviation is not None
    assert deviation < 1e-5


@pytest.mark.parametrize("objective", ["oca", "bct", "memory-contrast", "two-level"])
def test_prefixes_grow_and_old_ones_stay_comparable(line: Line, objective: str) -> None:
    line.train(line.config(8, "a.npz"))
    line.train(line.config(12, "b.npz", objective={"name": objective, "against": "docs@1"}))
    line.train(line.config(16, "c.npz", objective={"name": objective, "against": "docs@2"}))
    assert [line.dims_between(2, 1), line.dims_between(3, 2)] == [8, 12]
    assert (
        line.dims_between(3, 1) == 8
    )  # a prefix of a prefix: declared, for a certificate to judge
    assert line.dims_between(1, 3) == 8
    for number, dim in ((1, 8), (2, 12), (3, 16)):
        check_embeds(line, number, dim)


def test_bt2_deploys_its_head_over_a_chain(line: Line) -> None:
    """Each upgrade has a twin of its own, which is no ancestor: nothing is comparable with it."""
    line.train(line.config(8, "a.npz"))
    line.train(line.config(8, "b.npz", training={"seed": 1}))
    bt2 = {"name": "bt2", "against": "docs@1", "twin": "docs@2", "options": {"to_add_dim": 4}}
    third = line.train(line.config(16, "b.npz", objective=bt2))
    assert (third.training["against"], third.training["twin"]) == ("docs@1", "docs@2")
    line.train(line.config(8, "c.npz", training={"seed": 2}))
    bt2 = {"name": "bt2", "against": "docs@3", "twin": "docs@4", "options": {"to_add_dim": 8}}
    line.train(line.config(20, "c.npz", objective=bt2))
    check_embeds(line, 3, 12)
    check_embeds(line, 5, 16)
    found = [line.dims_between(5, number) for number in (1, 2, 3, 4)]
    assert found == [8, None, 12, None]
    edges = {
        (e.child.number, e.parent.number): e.relation for e in line.registry.models.lineage("docs")
    }
    assert edges[5, 4] == "imitates it, its twin"
    assert edges[5, 3] == "trained against: bt2"


def test_bt2_trains_on_features_of_the_same_augmented_views(
    registry: Registry, tmp_path: Path
) -> None:
    line = Line(registry, tmp_path)
    labels = np.repeat(np.arange(4), 6)
    images = line.rng.random((4, 8, 8))[labels] + 0.1 * line.rng.random((24, 8, 8))
    np.savez(tmp_path / "images.npz", inputs=images.astype(np.float32), labels=labels)
    model = {"backbone": "small_convnet"}

    def sections(dim: int) -> dict[str, dict[str, object]]:
        options = {"dim": dim, "width": 4, "image_size": 8}
        return {
            "model": {**model, "options": options},
            "augmentation": {"shift": 0.1, "flip": True},
        }

    line.train(line.config(0, "images.npz", **sections(4)))
    line.train(line.config(0, "images.npz", **sections(6), training={"seed": 1}))
    bt2 = {"name": "bt2", "against": "docs@1", "twin": "docs@2", "options": {"to_add_dim": 2}}
    plan = line.plan(line.config(0, "images.npz", **sections(10), objective=bt2))
    assert plan.data.old_features is None  # no table: views vary
    two_views = {**sections(10), "augmentation": {"shift": 0.1, "views": 2}}
    assert line.train(line.config(0, "images.npz", **two_views, objective=bt2)).dim == 8
    assert line.train(line.config(0, "images.npz", **sections(10), objective=bt2)).dim == 8


def test_simplex_versions_share_one_space(line: Line) -> None:
    """The registry gives out vertices; a class keeps its own though others come between."""
    line.save("a.npz", [0, 3, 5])
    line.save("b.npz", [0, 2, 3, 5])
    first = line.train(line.config(8, "a.npz", objective={"name": "cores"}))
    assert first.training["slots"] == {"0": 0, "3": 1, "5": 2}
    line.train(line.config(8, "b.npz", objective={"name": "cores", "against": "docs@1"}))
    hoc = {"name": "dsimplex-hoc", "against": "docs@2"}
    rehearsed = {"rehearsal": "b.npz", "rehearsal_per_class": 2}
    line.save("c.npz", [6, 7])
    without = {"backbone": None, "options": None, "init": "docs@2"}
    third = line.train(line.config(8, "c.npz", objective=hoc, model=without, data=rehearsed))
    assert third.training["slots"] == {"0": 0, "3": 1, "5": 2, "2": 3, "6": 4, "7": 5}
    assert line.registry.slots.get("docs").of("local") == {0: 0, 3: 1, 5: 2, 2: 3, 6: 4, 7: 5}
    assert third.training["n_samples"] == 2 * 6 + 4 * 2
    assert third.training["init"] == "docs@2"
    found = registry_contract(line, 3, 2)
    assert found is ContractKind.SAME_SPACE
    assert [line.dims_between(3, 1), line.dims_between(2, 1)] == [8, 8]
    (edge,) = [e for e in line.registry.models.lineage("docs") if e.child.number == 3]
    assert edge.relation == "trained against: dsimplex-hoc; began with its weights"
    for number in (1, 2, 3):
        check_embeds(line, number, 8)


def registry_contract(line: Line, query: int, gallery: int) -> ContractKind:
    refs = [line.registry.models.get(f"docs@{number}").ref for number in (query, gallery)]
    contract = line.registry.models.contract(*refs)
    assert contract is not None
    return contract.kind


def test_a_model_from_elsewhere_replaces_the_current_one(line: Line, tmp_path: Path) -> None:
    """It was trained with the same simplex, in a line of its own, and takes the chain on."""
    line.train(line.config(8, "a.npz", objective={"name": "cores"}))
    elsewhere = line.config(8, "c.npz", objective={"name": "cores"}, model={"name": "external"})
    line.train(elsewhere)
    with pytest.raises(InvalidInputError, match="external@1 is not of the model line 'docs'"):
        line.plan(
            line.config(8, "b.npz", objective={"name": "dsimplex-hoc", "against": "external@1"})
        )
    directory = line.registry.models.artifact_directory(line.registry.models.get("external@1"))
    line.registry.register("docs", directory)  # the same weights as a version of the line
    hoc = {"name": "dsimplex-hoc", "against": "docs@2"}
    model = {"backbone": None, "options": None, "init": "external@1"}
    third = line.train(line.config(8, "b.npz", objective=hoc, model=model))
    assert third.training["init"] == "external@1"
    assert line.dims_between(3, 2) == 8


def test_slots_come_from_the_registry_and_only_with_the_training(line: Line) -> None:
    mine = {"name": "cores", "supplier": "mine", "side": "bottom"}
    plan = line.plan(line.config(8, "a.npz", objective=mine))
    assert plan.slots == {0: 8, 1: 7, 2: 6, 3: 5}
    with pytest.raises(NotFoundError):
        line.registry.slots.get("docs")  # a plan gives nothing away
    train_version(line.registry, plan)
    assert line.registry.slots.get("docs").of("mine") == plan.slots
    other = {"name": "cores", "against": "docs@1"}
    theirs = line.plan(line.config(8, "a.npz", objective=other))
    assert theirs.slots == {0: 0, 1: 1, 2: 2, 3: 3}  # equal labels of another supplier's classes


def test_an_old_version_stands_in_the_same_simplex_or_is_refused(line: Line) -> None:
    config = line.config(8, "a.npz", objective={"name": "cores"})
    made = line.train(config)
    labels = (0, 1, 2, 3)

    def plan(training: dict[str, Json], supplier: str = "local") -> dict[int, int]:
        named = replace(config.objective, supplier=supplier)
        old = replace(made, training=training)
        return plan_slots(line.registry, replace(config, objective=named), labels, 9, old)

    assert plan(dict(made.training)) == {0: 0, 1: 1, 2: 2, 3: 3}
    assert plan({}) == {0: 0, 1: 1, 2: 2, 3: 3}  # from elsewhere, without a record
    moved: dict[str, Json] = {"supplier": "local", "slots": {"0": 7}}
    with pytest.raises(InvalidInputError, match=r"class 0 owned vertex 7 when docs@1 was trained"):
        plan(moved)
    with pytest.raises(InvalidInputError, match=r"own vertices of docs@1.*: \[4\]"):
        plan({"supplier": "hub", "slots": {"0": 4}}, supplier="mine")
    with pytest.raises(InvalidInputError, match="not trained with a simplex"):
        plan({"objective": "independent"})


def test_a_training_that_is_refused_claims_no_slots(line: Line) -> None:
    plan = line.plan(line.config(8, "a.npz", objective={"name": "cores"}))
    with pytest.raises(NotFoundError, match="there is no checkpoint"):
        train_version(line.registry, plan, resume=line.folder / "absent")
    with pytest.raises(NotFoundError):
        line.registry.slots.get("docs")


def test_slots_that_somebody_took_meanwhile_stop_the_training(line: Line) -> None:
    plan = line.plan(line.config(8, "a.npz", objective={"name": "cores"}))
    line.registry.slots.assign("docs", ["intruder"], n_slots=9)
    with pytest.raises(ConflictError, match="somebody else was given class slots"):
        train_version(line.registry, plan)
    assert line.registry.models.list() == ()


def test_bct_hears_the_old_classifier(line: Line) -> None:
    line.save("old.npz", [2, 5, 7])
    line.save("new.npz", [1, 2, 7])
    first = line.train(line.config(8, "old.npz"))
    kept = read_classifier(line.registry.models.artifact_directory(first))
    assert kept is not None
    assert kept.classes == (2, 5, 7)
    config = line.config(12, "new.npz", objective={"name": "bct", "against": "docs@1"})
    objective = line.plan(config).objective
    assert isinstance(objective, BCT)
    assert objective.rows.tolist() == [-1, 0, 2]
    torch.testing.assert_close(objective.weights, kept.weights)
    line.train(config)
    # and the new classifier is kept in its turn; whoever shares no class gets class means
    line.save("others.npz", [20, 21])
    later = line.config(12, "others.npz", objective={"name": "bct", "against": "docs@2"})
    means = line.plan(later).objective
    assert isinstance(means, BCT)
    assert means.rows.tolist() == [0, 1]


@pytest.mark.parametrize(
    "objective", ["independent", "oca", "bct", "memory-contrast", "two-level", "bt2"]
)
def test_the_kept_classifier_says_of_vectors_what_training_said(line: Line, objective: str) -> None:
    line.train(line.config(8, "a.npz"))
    line.train(line.config(8, "b.npz", training={"seed": 1}))
    named: dict[str, object] = {"name": objective}
    if objective != "independent":
        named["against"] = "docs@1"
    if objective == "bt2":
        named |= {"twin": "docs@2", "options": {"to_add_dim": 4}}
    long = {"epochs": 40}
    version = line.train(line.config(16, "b.npz", objective=named, training=long))
    kept = read_classifier(line.registry.models.artifact_directory(version))
    assert kept is not None
    labels = np.repeat(np.arange(6), 20)
    vectors = load_version(line.registry, version)(torch.from_numpy(line.sample(labels)))
    logits = vectors @ kept.weights.T + kept.biases
    assert np.mean(logits.argmax(dim=1).numpy() == labels) > 0.9


@pytest.mark.parametrize(
    "objective", ["independent", "oca", "bct", "cores", "memory-contrast", "two-level", "bt2"]
)
def test_only_a_head_is_trained_behind_a_frozen_backbone(line: Line, objective: str) -> None:
    line.train(line.config(8, "a.npz"))
    line.train(line.config(8, "b.npz", training={"seed": 1}))
    frozen = load_version(line.registry, line.registry.models.get("docs@1"))
    named: dict[str, object] = {"name": objective}
    if objective not in ("independent", "cores"):
        named["against"] = "docs@1"
    if objective == "bt2":
        named |= {"twin": "docs@2", "options": {"to_add_dim": 4}}
    model = {
        "backbone": None,
        "options": {"dim": 16, "hidden": [12]},
        "init": "docs@1",
        "head_only": True,
    }
    config = line.config(16, "b.npz", objective=named, model=model)
    plan = line.plan(config)
    assert plan.data.inputs.shape == (36, 8)  # features of the backbone, computed once
    version = line.train(config)
    check_embeds(line, 3, 12 if objective == "bt2" else 16)
    weights = load_version(line.registry, version).state_dict()
    first = {name.split("first.")[1]: t for name, t in weights.items() if "first." in name}
    assert first.keys() == frozen.backbone.state_dict().keys()
    assert all(torch.equal(t, frozen.backbone.state_dict()[name]) for name, t in first.items())
    assert version.training["head_only"] is True
    relations = {e.parent.number: e.relation for e in line.registry.models.lineage("docs")}
    assert relations[1].endswith("keeps its backbone")


def test_what_is_missing_is_said_in_one_line(line: Line) -> None:
    line.train(line.config(8, "a.npz"))
    line.train(line.config(8, "b.npz", training={"seed": 1}))
    old, twin = {"against": "docs@1"}, {"twin": "docs@2"}
    no_network = {"backbone": None, "options": None}
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"objective": {"name": "bt2", **old}}, "needs a twin"),
        ({"objective": {"name": "bt2", **twin}}, "'bt2' needs an old model"),
        ({"objective": {"name": "oca", **old, **twin}}, "has no use for a twin"),
        ({"objective": {"name": "dsimplex-hoc"}}, "'dsimplex-hoc' needs an old model"),
        ({"objective": {"name": "bt2", **old, **twin, "options": {"to_add_dim": 0}}}, "at least 1"),
        ({"model": {"init": "docs@1"}}, "comes with its own options"),
        ({"model": {"init": "docs@1", "options": None}}, "comes with its weights"),
        (
            {"model": {**no_network, "init": "docs@1"}, "preprocessing": {"scale": 2.0}},
            "comes with",
        ),
        ({"model": {"head_only": True}}, "head_only needs a version"),
        ({"model": no_network}, "lacks 'backbone'"),
        ({"data": {"rehearsal_per_class": 3}}, "nothing to rehearse"),
        ({"data": {"rehearsal": "a.npz", "rehearsal_per_class": 0}}, "at least 1"),
        ({"data": {"rehearsal_share": 0.5}}, "rehearsal_share but nothing to rehearse"),
        ({"data": {"rehearsal": "a.npz", "rehearsal_share": 1.0}}, "between 0 and 1 but is 1.0"),
    ]
    for sections, words in wrong:
        with pytest.raises(InvalidInputError, match=words) as info:
            line.plan(line.config(16, "b.npz", **sections))
        assert "\n" not in str(info.value)
    small = {"objective": {"name": "bt2", **old, **twin}}
    with pytest.raises(
        DimensionMismatchError, match="twin has 8 dimensions but the backbone only 6"
    ):
        line.plan(line.config(6, "b.npz", **small))
    with pytest.raises(DimensionMismatchError, match="the old model has 8 dimensions"):
        line.plan(line.config(6, "b.npz", objective={"name": "oca", **old}))
    with pytest.raises(InvalidInputError, match="docs@1 was not trained with a simplex"):
        line.plan(line.config(16, "b.npz", objective={"name": "cores", **old}))
    with pytest.raises(NotFoundError, match="docs"):
        line.plan(line.config(16, "b.npz", objective={"name": "bt2", **old, "twin": "docs@9"}))
    line.save("far.npz", range(10))
    with pytest.raises(InvalidInputError, match="10 new classes need as many slots"):
        line.plan(line.config(8, "far.npz", objective={"name": "cores"}))
    np.savez(line.folder / "other.npz", inputs=np.zeros((4, 3), np.float32), labels=np.arange(4))
    with pytest.raises(
        InvalidInputError, match=r"other.npz has inputs of float32 and shape \(3,\)"
    ):
        line.plan(line.config(8, "a.npz", data={"rehearsal": "other.npz"}))


def test_a_rehearsal_is_capped_by_class_and_drawn_by_the_seed(line: Line) -> None:
    line.save("more.npz", [0, 1, 9], n_each=30)
    data = {"rehearsal": "more.npz", "rehearsal_per_class": 5}
    first = line.plan(line.config(8, "a.npz", data=data)).data
    again = line.plan(line.config(8, "a.npz", data=data)).data
    other = line.plan(line.config(8, "a.npz", data=data, training={"seed": 1})).data
    assert first.classes == (0, 1, 2, 3, 9)
    assert torch.bincount(first.labels).tolist() == [11, 11, 6, 6, 5]
    assert torch.equal(first.inputs, again.inputs)
    assert not torch.equal(first.inputs, other.inputs)
    assert first.inputs.shape == (39, N_INPUTS)


def test_rehearsed_data_may_have_a_share_of_each_step(line: Line) -> None:
    line.save("more.npz", [0, 1, 9], n_each=30)
    data = {"rehearsal": "more.npz", "rehearsal_per_class": 5, "rehearsal_share": 0.5}
    config = line.config(8, "a.npz", data=data)
    planned = line.plan(config).data
    assert (planned.n_rehearsed, planned.rehearsal_share) == (15, 0.5)
    assert set(planned.labels[-15:].tolist()) == {0, 1, 4}
    assert line.train(config).training["n_samples"] == 39
    without = line.plan(line.config(8, "a.npz", data={"rehearsal": "more.npz"})).data
    assert (without.n_rehearsed, without.rehearsal_share) == (90, None)


def test_a_chain_is_resumed_against_the_same_old_model_only(line: Line) -> None:
    line.train(line.config(8, "a.npz"))
    line.train(line.config(8, "a.npz", training={"seed": 1}))
    training = {"checkpoint": "run.safetensors"}

    def config(old: int) -> TrainingConfig:
        named = {"name": "bct", "against": f"docs@{old}"}
        return line.config(12, "b.npz", objective=named, training=training)

    line.train(config(1))
    with pytest.raises(InvalidInputError, match="checkpoint of another run"):
        train_version(
            line.registry,
            line.plan(config(2)),
            resume=line.folder / "run.safetensors",
        )
