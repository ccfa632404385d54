from __future__ import annotations

import pytest
import torch
from torch import nn

from compat.backbones import build_backbone
from registry.errors import InvalidInputError


def n_parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(("depth", "n_layers"), [(20, 20), (32, 32), (18, 18), (34, 34)])
def test_it_has_as_many_layers_as_its_depth_says(depth: int, n_layers: int) -> None:
    network = build_backbone("resnet32", {"dim": 5, "depth": depth, "width": 4})
    weighted = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    around = [m for m in weighted if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1)]
    assert len(weighted) - len(around) == n_layers
    assert network(torch.rand(2, 3, 32, 32)).shape == (2, 5)


def test_its_sizes_are_those_of_the_paper() -> None:
    """0.27 million parameters at depth 20 [He et al., table 6]; 11.2 at 18 in four stages."""
    assert n_parameters(build_backbone("resnet32", {"dim": 10})) == pytest.approx(272e3, rel=0.02)
    four = build_backbone("resnet32", {"dim": 10, "depth": 18})
    assert n_parameters(four) == pytest.approx(11.17e6, rel=0.01)


def test_a_map_is_halved_twice_in_three_stages() -> None:
    network = build_backbone("resnet32", {"dim": 5, "width": 4, "in_channels": 1})
    stem, blocks = network.stem, network.blocks
    assert isinstance(stem, nn.Module)
    assert isinstance(blocks, nn.Module)
    assert blocks(stem(torch.rand(1, 1, 32, 32))).shape == (1, 16, 8, 8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 19}, "cannot have a depth of 19"),
        ({"depth": 2}, "cannot have a depth of 2"),
        ({"width": 0}, "at least 1"),
        ({"dim": 0}, "at least 1"),
    ],
)
def test_sizes_out_of_range_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        build_backbone("resnet32", {"dim": 5, **options})


@pytest.mark.parametrize("shape", [(2, 32, 32), (2, 1, 32, 32)])
def test_images_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInputError, match="came to a resnet32"):
        build_backbone("resnet32", {"dim": 5, "width": 4})(torch.zeros(shape))
