"""Batches of one sample, over which batch normalisation has nothing to take statistics of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor, nn

from registry.errors import InvalidInputError

from .encoders import Encoder
from .training_options import TrainingData, TrainingOptions

_NORMS: Final = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def check_single_samples(
    encoder: Encoder,
    objective: nn.Module,
    data: TrainingData,
    options: TrainingOptions,
    *,
    device: torch.device,
) -> None:
    """Refuse batches of one sample where batch normalisation would see one value a channel.

    Only a batch size of 1 and data of one sample make such batches (`training_step.batch_rows`).
    Networks without batch normalisation may train on them, and so may those whose normalised maps
    hold several values a channel of a sample, or whose layers stay in evaluation mode. To see that,
    the encoder embeds a sample, in evaluation mode; an objective normalises features, which have
    one value.

    Args:
        encoder: the encoder, before its first step.
        objective: the objective.
        data: the training data.
        options: how to train.
        device: where the networks are.

    Raises:
        InvalidInputError: if such a layer would meet such a batch.
    """
    if min(options.batch_size, len(data.labels)) > 1:
        return
    for norm in _in_training(objective):
        raise _refusal(norm, data, options)
    norms = _in_training(encoder)
    if norms:

        def look(norm: nn.Module, given: tuple[Tensor, ...]) -> None:
            if given[0].numel() == given[0].shape[1]:
                raise _refusal(norm, data, options)

        _embed_watched(encoder, norms, data.inputs[:1].to(device), look)


def _in_training(network: nn.Module) -> Sequence[nn.Module]:
    """Return the layers that normalise by the batch, while the network trains."""
    mode = network.training
    network.train()
    found = [m for m in network.modules() if isinstance(m, _NORMS) and _normalises_by_batch(m)]
    network.train(mode)
    return found


def _normalises_by_batch(norm: nn.Module) -> bool:
    return norm.training or norm.running_mean is None


def _embed_watched(
    encoder: Encoder,
    norms: Sequence[nn.Module],
    inputs: Tensor,
    look: Callable[[nn.Module, tuple[Tensor, ...]], None],
) -> None:
    mode = encoder.training
    hooks = [norm.register_forward_pre_hook(look) for norm in norms]
    encoder.eval()
    try:
        with torch.no_grad():
            encoder.features(inputs)
    finally:
        for hook in hooks:
            hook.remove()
        encoder.train(mode)


def _refusal(norm: nn.Module, data: TrainingData, options: TrainingOptions) -> InvalidInputError:
    is_short = len(data.labels) == 1
    found = "the data are one sample" if is_short else f"batch_size is {options.batch_size}"
    remedy = "give at least 2 samples" if is_short else "set batch_size to at least 2"
    return InvalidInputError(
        f"{found}, and {type(norm).__name__} cannot normalise over a batch of one",
        hint=f"{remedy}, or train a network without batch normalisation",
    )
