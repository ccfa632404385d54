"""From raw inputs to vectors, in order, in batches, always in the same way."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from registry.arrays import Float32Array, LabelArray
from registry.domain.versions import ModelVersion
from registry.errors import InvalidInputError, SpaceMismatchError
from registry.vectors import Embeddings

from .devices import DeviceName, choose_device
from .encoders import Encoder, fingerprint

Progress = Callable[[int, int], None]
Inputs = Tensor | np.ndarray[tuple[int, ...], np.dtype[np.generic]]


def embed_array(
    encoder: Encoder,
    inputs: Inputs,
    *,
    batch_size: int = 512,
    device: DeviceName = "cpu",
    progress: Progress | None = None,
) -> Float32Array:
    """Return the vectors of raw inputs, row by row in their order.

    The encoder is run in evaluation mode without gradients, and is afterwards in the mode and on
    the device that it was in. The batch size changes vectors by rounding at most.

    Args:
        encoder: what embeds.
        inputs: raw inputs. Shape: (n, ...).
        batch_size: how many inputs are embedded at once, at least 1.
        device: where to run.
        progress: called after each batch with the numbers done and in all.

    Returns:
        Vectors. Shape: (n, dim).

    Raises:
        InvalidInputError: if the batch size is below 1 or the device is not there.
    """
    if batch_size < 1:
        raise InvalidInputError(f"batch_size must be at least 1 but got {batch_size}")
    target = choose_device(device)
    n = len(inputs)
    vectors = np.empty((n, encoder.dim), dtype=np.float32)
    modes, home = [(module, module.training) for module in encoder.modules()], _device_of(encoder)
    encoder.eval().to(target)
    try:
        with torch.no_grad():
            for start in range(0, n, batch_size):
                batch = _as_tensor(inputs[start : start + batch_size]).to(target)
                vectors[start : start + len(batch)] = encoder(batch).cpu().numpy()
                if progress is not None:
                    progress(start + len(batch), n)
    finally:
        encoder.to(home)
        for module, was_training in modes:
            module.training = was_training
    return vectors


def _as_tensor(batch: Inputs) -> Tensor:
    if isinstance(batch, Tensor):
        return batch
    return torch.from_numpy(np.array(batch))  # a copy: torch takes no read-only memory


def _device_of(encoder: Encoder) -> torch.device:
    first = next(encoder.parameters(), None)
    return torch.device("cpu") if first is None else first.device


def embed(
    encoder: Encoder,
    inputs: Inputs,
    ids: LabelArray,
    version: ModelVersion,
    *,
    progress: Progress | None = None,
) -> Embeddings:
    """Return named vectors that carry the version that made them.

    Raises:
        SpaceMismatchError: if the encoder is not that version.
        InvalidInputError: if ids or vectors may not be stored; see `Embeddings`.
    """
    found = fingerprint(encoder)
    if found != version.fingerprint:
        raise SpaceMismatchError(
            f"the encoder has the fingerprint {found} but {version.ref} has {version.fingerprint}",
            hint=f"load {version.ref}'s own artifact, or name the version that the encoder is",
        )
    return Embeddings(ids, embed_array(encoder, inputs, progress=progress), version)
