"""Warm starts, from versions of the catalog, with a head, and of the user's own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from compat.embedding import embed_array
from compat.workflow.embedding import load_version
from compat.workflow.training import plan_training
from registry import Registry
from registry.errors import DimensionMismatchError, InvalidInputError, NotFoundError
from tests.compat.workflow.lines import Line

NO_NETWORK = {"backbone": None, "options": None}


@pytest.fixture
def line(registry: Registry, tmp_path: Path) -> Line:
    made = Line(registry, tmp_path)
    made.save("a.npz", range(4))
    return made


def weights(module: torch.nn.Module) -> list[torch.Tensor]:
    return list(module.state_dict().values())


def test_a_warm_start_has_the_versions_weights_and_preprocessing(line: Line) -> None:
    version = line.train(line.config(8, "a.npz", preprocessing={"scale": 0.5}))
    plan = line.plan(line.config(8, "a.npz", model={**NO_NETWORK, "init": "docs@1"}))
    old = load_version(line.registry, version)
    assert plan.encoder.preprocessing.scale == 0.5
    for mine, its in zip(weights(plan.encoder), weights(old), strict=True):
        assert torch.equal(mine, its)
    unit = line.config(8, "a.npz", model={**NO_NETWORK, "init": "docs@1", "normalise": False})
    assert not line.plan(unit).encoder.normalised
    with pytest.raises(NotFoundError, match="docs"):
        line.plan(line.config(8, "a.npz", model={**NO_NETWORK, "init": "docs@9"}))


def test_a_warm_start_from_bt2_takes_the_backbone_without_its_head(line: Line) -> None:
    line.train(line.config(8, "a.npz"))
    line.train(line.config(8, "a.npz", training={"seed": 1}))
    bt2 = {"name": "bt2", "against": "docs@1", "twin": "docs@2", "options": {"to_add_dim": 4}}
    line.train(line.config(16, "a.npz", objective=bt2))
    begun = line.plan(line.config(8, "a.npz", model={**NO_NETWORK, "init": "docs@3"}))
    assert begun.encoder.dim == 16
    behind = {"backbone": None, "options": {"dim": 5}, "init": "docs@3", "head_only": True}
    plan = line.plan(line.config(8, "a.npz", model=behind))
    assert plan.data.inputs.shape == (24, 16)
    assert plan.deployed()(torch.from_numpy(line.sample([0, 1]))).shape == (2, 5)
    # the same objective again, behind the same bare backbone
    bt2 = {**bt2, "against": "docs@3", "options": {"to_add_dim": 8}}
    model = {**NO_NETWORK, "init": "docs@3"}
    assert line.train(line.config(8, "a.npz", objective=bt2, model=model)).dim == 16


def test_a_turned_start_is_near_the_old_version_and_as_good_in_itself(line: Line) -> None:
    line.train(line.config(6, "a.npz"))
    twin = line.train(line.config(8, "a.npz", training={"seed": 1}))
    objective = {"name": "oca", "against": "docs@1", "options": {"orthogonal": False}}
    model = {**NO_NETWORK, "init": "docs@2", "turned": True}
    plan = line.plan(line.config(8, "a.npz", model=model, objective=objective))
    assert plan.old is not None
    free = embed_array(load_version(line.registry, twin), plan.data.inputs)
    turned = embed_array(plan.encoder, plan.data.inputs)
    np.testing.assert_allclose(turned @ turned.T, free @ free.T, atol=1e-5)
    old = plan.old.features.numpy()
    assert (turned[:, :6] * old).sum() > (free[:, :6] * old).sum()
    made = line.train(line.config(8, "a.npz", model=model, objective=objective))
    edges = [edge for edge in line.registry.models.lineage("docs") if edge.child == made.ref]
    assert {edge.parent.number: edge.relation for edge in edges} == {
        1: "trained against: oca",
        2: "began with its weights, turned",
    }


def test_a_turned_start_needs_weights_to_turn_and_a_version_to_turn_to(line: Line) -> None:
    line.train(line.config(6, "a.npz"))
    line.train(line.config(8, "a.npz"))
    with pytest.raises(InvalidInputError, match="turned needs a version whose weights"):
        line.config(8, "a.npz", model={"turned": True})
    turned = {**NO_NETWORK, "init": "docs@1", "turned": True}
    with pytest.raises(InvalidInputError, match="needs a version to turn to"):
        line.plan(line.config(6, "a.npz", model=turned))
    smaller = line.config(6, "a.npz", model=turned, objective={"name": "oca", "against": "docs@2"})
    with pytest.raises(DimensionMismatchError, match="6 dimensions cannot be turned to meet 8"):
        line.plan(smaller)


@pytest.fixture
def own(line: Line, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    text = "from torch import nn\n\ndef build(dim):\n    return nn.Linear(10, dim)\n"
    (line.folder / "own_for_starting.py").write_text(text)
    monkeypatch.chdir(line.folder)
    yield "own_for_starting:build"
    sys.modules.pop("own_for_starting", None)


def test_a_backbone_of_ones_own_is_named_again_to_begin_with_its_weights(
    line: Line, own: str
) -> None:
    first = line.train(line.config(6, "a.npz", model={"backbone": own, "options": {"dim": 6}}))
    model = {"backbone": own, "options": None, "init": "docs@1"}
    plan = plan_training(line.registry, line.config(6, "a.npz", model=model), directory=line.folder)
    assert plan.encoder.dim == first.dim
    with pytest.raises(InvalidInputError, match="not in samespace's catalog"):
        line.plan(line.config(6, "a.npz", model={**NO_NETWORK, "init": "docs@1"}))
    behind = {"backbone": None, "options": {"dim": 5}, "init": "docs@1", "head_only": True}
    with pytest.raises(InvalidInputError, match="is your own, and no network") as info:
        line.plan(line.config(6, "a.npz", model=behind))
    assert "embed the data with it" in (info.value.hint or "")


def test_a_network_of_ones_own_cannot_stand_behind_another(line: Line, own: str) -> None:
    line.train(line.config(10, "a.npz"))
    behind = {"backbone": own, "options": {"dim": 5}, "init": "docs@1", "head_only": True}
    with pytest.raises(InvalidInputError, match="a network of your own cannot be put"):
        line.plan(line.config(6, "a.npz", model=behind))


def test_vectors_in_and_vectors_out_is_head_only_for_anybodys_encoder(line: Line) -> None:
    """The inputs are vectors of an encoder that samespace never sees."""
    line.train(line.config(6, "a.npz"))
    oca = {"name": "oca", "against": "docs@1"}
    assert line.train(line.config(9, "a.npz", objective=oca)).dim == 9
