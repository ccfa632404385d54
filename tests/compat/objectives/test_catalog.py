from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest
import torch

from compat.objectives import OBJECTIVES, Setting, build_objective
from compat.objectives.independent import Independent, Options, build
from registry.errors import InvalidInputError, NotFoundError

SETTING = Setting(dim=6, n_classes=4, labels=torch.arange(4))


def plug_in(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> None:
    monkeypatch.setitem(sys.modules, module.__name__, module)
    point = EntryPoint("third", module.__name__, OBJECTIVES.group)
    monkeypatch.setattr("registry.catalog.entry_points", lambda **_: [point])


def test_the_built_in_names() -> None:
    assert {"independent", "oca"} <= set(OBJECTIVES.names())


def test_options_reach_the_objective() -> None:
    objective = build_objective("independent", {"scale": 16, "cosine": True}, SETTING)
    assert isinstance(objective, Independent)
    assert objective.options == Options(scale=16.0, cosine=True)


def test_an_unknown_name_gets_near_ones() -> None:
    with pytest.raises(NotFoundError, match="no objective is named 'ocaa'") as info:
        build_objective("ocaa", {}, SETTING)
    assert info.value.hint == "did you mean 'oca'?"


def test_a_misspelt_option_gets_near_ones() -> None:
    with pytest.raises(NotFoundError, match="no option of objective 'independent'") as info:
        build_objective("independent", {"label_smothing": 0.1}, SETTING)
    assert info.value.hint == "did you mean 'label_smoothing'?"


def test_a_third_party_objective_is_added_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("third_party_objective")
    vars(module).update(Options=Options, build=build)
    plug_in(monkeypatch, module)
    assert "third" in OBJECTIVES.names()
    assert isinstance(build_objective("third", {}, SETTING), Independent)


def test_a_third_party_objective_must_be_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("third_party_objective")
    vars(module).update(Options=Options, build=lambda *_: 3)
    plug_in(monkeypatch, module)
    with pytest.raises(InvalidInputError, match="gave a int, not a network"):
        build_objective("third", {}, SETTING)


def test_old_features_must_have_a_row_a_label() -> None:
    with pytest.raises(InvalidInputError, match="one row a label"):
        Setting(6, 4, torch.arange(4), torch.ones(3, 2))
