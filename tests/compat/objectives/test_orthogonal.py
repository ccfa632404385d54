"""The orthogonal layer against torch's own, and where its exponential is computed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from compat.encoders import structure_digest
from compat.objectives import orthogonal
from compat.objectives.orthogonal import OrthogonalLayer, baked, exponential, exponential_device
from tests.compat.objectives.checks import weight_and_bias

DIM = 5


def torchs(*, bias: bool = True) -> nn.Module:
    """Torch's own orthogonal layer, of a first weight that the seed gives."""
    torch.manual_seed(3)
    layer = nn.Linear(DIM, DIM, bias=bias)
    return parametrizations.orthogonal(layer, orthogonal_map="matrix_exp")


def ours(*, bias: bool = True) -> OrthogonalLayer:
    torch.manual_seed(3)
    return OrthogonalLayer(DIM, bias=bias)


def trained(layer: nn.Module) -> list[Tensor]:
    """What it gives, and its weights, after a few steps."""
    inputs = torch.randn(8, DIM, generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        (layer(inputs) - inputs.roll(1, dims=1)).square().mean().backward()
        optimizer.step()
    return [layer(inputs).detach(), *(p.detach().clone() for p in layer.parameters())]


@pytest.mark.parametrize("bias", [True, False])
def test_it_is_torchs_own_number_by_number(bias: bool) -> None:
    layer = ours(bias=bias)
    first = layer.matrix().detach()
    for mine, its in zip(trained(layer), trained(torchs(bias=bias)), strict=True):
        assert torch.equal(mine, its)
    assert (layer.matrix() - first).abs().max() > 1e-2  # the steps have turned it


def test_weights_and_checkpoints_of_torchs_own_still_fit() -> None:
    layer, its = ours(), torchs()
    trained(its)
    layer.linear.load_state_dict(its.state_dict())
    assert torch.equal(layer.matrix(), weight_and_bias(its)[0])
    assert torch.equal(baked(layer).linear.weight, layer.matrix())  # type: ignore[union-attr, arg-type]
    assert structure_digest(layer.linear) == structure_digest(its)


def test_the_exponential_and_its_gradient_are_right_where_it_is_asked_for(float64: None) -> None:
    matrix = torch.randn(DIM, DIM, requires_grad=True)
    cpu = torch.device("cpu")
    assert torch.equal(exponential(matrix, device=cpu), torch.linalg.matrix_exp(matrix))
    assert torch.autograd.gradcheck(lambda m: exponential(m, device=cpu), matrix)


def test_only_mps_leaves_it_to_the_cpu() -> None:
    """A device can be named where it is not there; nothing was run on a Mac."""
    assert exponential_device(torch.device("mps", 0)) == torch.device("cpu")
    for device in (torch.device("cpu"), torch.device("cuda", 1)):
        assert exponential_device(device) == device


def test_the_layer_asks_where(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = ours()
    asked: list[torch.device] = []

    def noted(matrix: Tensor, *, device: torch.device) -> Tensor:
        asked.append(device)
        return exponential(matrix, device=device)

    elsewhere = torch.device("cpu", 0)
    monkeypatch.setattr(orthogonal, "exponential_device", lambda _: elsewhere)
    monkeypatch.setattr(orthogonal, "exponential", noted)
    layer(torch.ones(2, DIM))
    assert asked == [elsewhere]
