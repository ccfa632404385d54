from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from compat.objectives import OBJECTIVES, Setting, build_objective
from compat.objectives.catalog import uses_slots
from compat.objectives.independent import Independent, Options, build
from compat.objectives.protocol import CompatBatch, Needs, needs_of
from compat.run_identity import identify_run
from compat.training_options import TrainingData, TrainingOptions
from registry.errors import InvalidInputError, NotFoundError
from tests.plug_ins import install

SETTING = Setting(dim=6, n_classes=4, labels=torch.arange(4))


def plug_in(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> None:
    monkeypatch.setitem(sys.modules, module.__name__, module)
    point = EntryPoint("third", module.__name__, OBJECTIVES.group)
    monkeypatch.setattr("registry.catalog.entry_points", lambda **_: [point])


def test_the_built_in_names() -> None:
    known = {"bct", "bt2", "cores", "dsimplex-hoc", "independent", "memory-contrast", "oca"}
    assert known | {"two-level"} <= set(OBJECTIVES.names())


@pytest.mark.parametrize("name", sorted(OBJECTIVES.built_in))
def test_every_built_in_is_built_with_its_defaults(name: str) -> None:
    old = None if name == "independent" else torch.randn(8, 4)
    setting = Setting(4, 4, torch.arange(8) % 4, old, torch.randn(8, 3))
    objective = build_objective(name, {}, setting)
    assert not hasattr(objective, "catalog_options")  # it keeps them itself
    needs = needs_of(objective)
    batch = CompatBatch(
        torch.randn(5, 4),
        torch.randn(5, 4) if needs.old_features else None,
        torch.arange(5) % 4,
        torch.randn(5, 3) if needs.twin_features else None,
    )
    terms = objective.forward(batch)
    assert terms
    assert all(term.shape == () and torch.isfinite(term) for term in terms.values())


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


def test_a_third_party_objective_lacks_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    group = OBJECTIVES.group
    texts = {"no_options": "def build(*_): ...\n", "no_build": "class Options: ...\n"}
    texts["no_dataclass"] = texts["no_options"] + texts["no_build"]
    points = "\n".join(f"{name} = {name}" for name in texts)
    install(monkeypatch, tmp_path, group=group, points=points, **texts)
    for name, words in (
        ("no_options", "'no_options' has no 'Options'"),
        ("no_build", "'no_build' has no 'build'"),
        ("no_dataclass", "options of objective 'no_dataclass' are no dataclass"),
    ):
        with pytest.raises(InvalidInputError, match=words):
            build_objective(name, {}, SETTING)
    with pytest.raises(InvalidInputError, match="'no_build' has no 'build'"):
        uses_slots("no_build")


def test_old_features_must_have_a_row_a_label() -> None:
    with pytest.raises(InvalidInputError, match=r"old features .* one row a label"):
        Setting(6, 4, torch.arange(4), torch.ones(3, 2))
    with pytest.raises(InvalidInputError, match=r"twin features .* one row a label"):
        Setting(6, 4, torch.arange(4), twin_features=torch.ones(4))


def test_an_old_classifier_must_fit() -> None:
    labels, old = torch.arange(4), torch.ones(4, 2)
    with pytest.raises(InvalidInputError, match=r"\(3, 5\) does not fit to old features"):
        Setting(6, 4, labels, old, old_classifier=torch.ones(3, 5))
    with pytest.raises(InvalidInputError, match=r"3 classes came with biases of shape \(2,\)"):
        Setting(6, 4, labels, old_classifier=torch.ones(3, 2), old_biases=torch.ones(2))
    with pytest.raises(InvalidInputError, match="belong to an old_classifier"):
        Setting(6, 4, labels, old_classes=torch.arange(4))
    with pytest.raises(InvalidInputError, match="old_classes must hold one number for each of 4"):
        Setting(6, 4, labels, old_classifier=torch.ones(3, 2), old_classes=torch.arange(3))


def test_flags_that_a_third_party_lacks_are_false() -> None:
    assert needs_of(build_objective("independent", {}, SETTING)) == Needs(
        old_features=False, twin_features=False, raw_features=False
    )


def test_a_plug_in_that_forgets_its_options_is_told_apart_by_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its options change no tensor, and it keeps them where nobody looks."""

    class Forgetful(Independent):
        def __init__(self, options: Options, setting: Setting) -> None:
            super().__init__(options, dim=setting.dim, n_classes=setting.n_classes)
            self._scale = self.options.scale
            del self.options

    module = ModuleType("third_objective")
    module.Options, module.build = Options, Forgetful  # type: ignore[attr-defined]
    plug_in(monkeypatch, module)
    data = TrainingData(torch.zeros(4, 6), torch.arange(4))
    digests = []
    for scale in (16, 16, 8):
        torch.manual_seed(0)
        objective = build_objective("third", {"scale": scale, "cosine": True}, SETTING)
        assert isinstance(objective, nn.Module)
        modules = nn.ModuleDict({"encoder": nn.Linear(6, 6), "objective": objective})
        digests.append(identify_run(modules, data, TrainingOptions(), {}).digest)
    assert digests[0] == digests[1] != digests[2]
