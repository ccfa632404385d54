"""Whether the weights that an epoch left are of any use, looked at before they are kept."""

from __future__ import annotations

import math
from typing import Final, cast

import torch
from torch import Tensor, nn

from .encoders import Encoder
from .training_options import TrainingData
from .training_step import DIVERGED_HINT, Run, TrainingDivergedError

_N_ROWS: Final = 8
_LARGEST: Final = math.sqrt(torch.finfo(torch.float32).max)  # beyond it, a norm is infinite


def check_epoch(run: Run, data: TrainingData, epoch: int) -> None:
    """Refuse weights, or features of a few fixed rows, that are NaN, infinite or near it.

    A step checks its loss and gradients before it changes the weights. So what the last step of an
    epoch did would show in the next one only, when the epoch was already kept. Processes that train
    together call it alike; the first one looks, and tells the others.

    Args:
        run: the parts, in evaluation mode.
        data: on the run's device, or not.
        epoch: its number, from 1.

    Raises:
        TrainingDivergedError: if they are.
    """
    found = run.workers.tell(_what_is_wrong(run, data) if run.workers.is_first else "")
    if found:
        raise TrainingDivergedError(f"{found} after epoch {epoch}", hint=DIVERGED_HINT)


def _what_is_wrong(run: Run, data: TrainingData) -> str:
    weight = float(nn.utils.get_total_norm(run.parameters(), math.inf))
    if not weight < _LARGEST:
        return f"the largest weight is {weight:.4g}"
    feature = float(_few_features(run, data).abs().max())
    return "" if feature < _LARGEST else f"the encoder's largest feature is {feature:.4g}"


def _few_features(run: Run, data: TrainingData) -> Tensor:
    n = len(data.labels)
    rows = torch.linspace(0, n - 1, min(_N_ROWS, n)).long().to(data.inputs.device)
    encoder = cast("Encoder", run.modules["encoder"])
    with torch.no_grad():
        return encoder.features(data.inputs[rows].to(run.device))
