"""What the tests of several objectives do in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from compat.objectives.protocol import CompatBatch, Objective


def total(objective: Objective, batch: CompatBatch) -> Tensor:
    return torch.stack(list(objective.forward(batch).values())).sum()


def weight_and_bias(linear: nn.Module) -> tuple[Tensor, Tensor]:
    weight, bias = linear.weight, linear.bias
    assert isinstance(weight, Tensor)
    if bias is None:
        return weight, weight.new_zeros(len(weight))
    assert isinstance(bias, Tensor)
    return weight, bias


def assert_same_with_gradients(
    ours: Tensor, expected: Tensor, inputs: Iterable[Tensor], rtol: float = 1e-9
) -> None:
    """Both values, and their gradients with regard to each input, are equal."""
    torch.testing.assert_close(ours, expected, rtol=rtol, atol=rtol)
    leaves = list(inputs)
    got = torch.autograd.grad(ours, leaves, materialize_grads=True)
    wanted = torch.autograd.grad(expected, leaves, materialize_grads=True)
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=10 * rtol, atol=rtol)


def train_steps(
    objective: Objective,
    batch_of: Callable[[Tensor], CompatBatch],
    *,
    dim: int,
    n_steps: int,
    rate: float = 0.02,
) -> list[float]:
    """Train a linear network and the objective on one batch of inputs; return the losses."""
    torch.manual_seed(1)
    inputs = torch.randn(60, 10)
    network = nn.Linear(10, dim)
    assert isinstance(objective, nn.Module)
    parameters = [*network.parameters(), *objective.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=rate, momentum=0.9)
    losses = []
    for _ in range(n_steps):
        loss = total(objective, batch_of(network(inputs)))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses
