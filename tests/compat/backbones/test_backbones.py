from __future__ import annotations

from pathlib import Path

import pytest
import torch

from compat.backbones import BACKBONES, build_backbone, import_factory
from compat.backbones.own import build_own
from registry.errors import InvalidInputError, NotFoundError
from tests.plug_ins import install


def test_the_built_in_names() -> None:
    assert {"mlp", "small_convnet"} <= set(BACKBONES.names())


def test_a_small_convnet_gives_dim_features() -> None:
    network = build_backbone("small_convnet", {"dim": 7, "width": 4}).eval()
    grey = torch.rand(3, 28, 28)
    features = network(grey)
    assert features.shape == (3, 7)
    torch.testing.assert_close(features, network(grey.unsqueeze(1)))


def test_a_small_convnet_takes_colours_and_other_sizes() -> None:
    options = {"dim": 7, "width": 4, "in_channels": 3, "image_size": 33}
    assert build_backbone("small_convnet", options)(torch.rand(2, 3, 33, 33)).shape == (2, 7)


@pytest.mark.parametrize("shape", [(2, 27, 28), (2, 3, 28, 28), (2, 784)])
def test_images_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInputError, match="came to a small_convnet"):
        build_backbone("small_convnet", {"dim": 7})(torch.zeros(shape))


def test_an_mlp_gives_dim_features() -> None:
    network = build_backbone("mlp", {"in_features": 5, "dim": 3, "hidden": [8, 4]})
    assert network(torch.rand(6, 5)).shape == (6, 3)
    linear = build_backbone("mlp", {"in_features": 5, "dim": 3, "hidden": []})
    assert [type(layer).__name__ for layer in linear] == ["Linear"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mlp", {"in_features": 0, "dim": 3}),
        ("mlp", {"in_features": 3, "dim": 3, "hidden": [0]}),
        ("small_convnet", {"dim": 0}),
        ("small_convnet", {"dim": 3, "image_size": 7}),
    ],
)
def test_sizes_out_of_range_are_refused(name: str, options: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError):
        build_backbone(name, options)


def test_unknown_names_and_options_get_near_ones() -> None:
    with pytest.raises(NotFoundError) as info:
        build_backbone("small_convnett", {})
    assert info.value.hint == "did you mean 'small_convnet'?"
    with pytest.raises(NotFoundError, match="option of backbone 'mlp'"):
        build_backbone("mlp", {"in_feature": 3, "dim": 3})


def test_a_factory_is_found_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [])
    (tmp_path / "own_models_2.py").write_text(
        "from torch import nn\nvalue = 3\ndef build(dim):\n    return nn.Linear(2, dim)\n"
        "def number(dim):\n    return dim\n"
    )
    factory = import_factory("own_models_2:build", directory=tmp_path)
    assert build_own(factory, {"dim": 4}, "own_models_2:build")(torch.zeros(1, 2)).shape == (1, 4)
    with pytest.raises(NotFoundError, match="no backbone in own_models_2 is named 'biuld'") as info:
        import_factory("own_models_2:biuld", directory=tmp_path)
    assert "'build'" in (info.value.hint or "")
    with pytest.raises(InvalidInputError, match="not a function"):
        import_factory("own_models_2:value", directory=tmp_path)
    number = import_factory("own_models_2:number", directory=tmp_path)
    with pytest.raises(InvalidInputError, match="gave a int, not a network"):
        build_own(number, {"dim": 4}, "own_models_2:number")


@pytest.mark.parametrize("reference", ["own:", ":build", "own:build()"])
def test_a_malformed_reference_is_refused(reference: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="names no backbone"):
        import_factory(reference, directory=tmp_path)


def test_a_missing_module_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [])
    with pytest.raises(NotFoundError, match="no module 'own_models_3'"):
        import_factory("own_models_3:build", directory=tmp_path)


@pytest.mark.parametrize(
    ("number", "text", "words"),
    [
        (4, "def build(:\n", "cannot be imported: SyntaxError: "),
        (5, "from torch import absent", "cannot be imported: ImportError: cannot import name"),
        (6, "1 / 0", "cannot be imported: ZeroDivisionError: division by zero"),
    ],
)
def test_a_module_that_cannot_be_imported_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, text: str, words: str
) -> None:
    monkeypatch.setattr("sys.path", [])
    (tmp_path / f"own_models_{number}.py").write_text(text)
    with pytest.raises(InvalidInputError, match=f"'own_models_{number}:build' {words}") as info:
        import_factory(f"own_models_{number}:build", directory=tmp_path)
    assert "\n" not in str(info.value)
    assert f"own_models_{number}" in (info.value.hint or "")


def test_a_third_party_backbone_that_cannot_be_built_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = "torn = torn_backbone\npoor = poor_backbone"
    texts = {"torn_backbone": "import absent_thing", "poor_backbone": "class Options: ..."}
    install(monkeypatch, tmp_path, group=BACKBONES.group, points=points, **texts)
    with pytest.raises(InvalidInputError, match="backbone 'torn' cannot be imported"):
        build_backbone("torn", {})
    with pytest.raises(InvalidInputError, match="backbone 'poor' has no 'build'"):
        build_backbone("poor", {})
