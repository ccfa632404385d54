"""Where training and embedding run."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from registry.errors import InvalidInputError

DeviceName = Literal["auto", "cpu", "cuda", "mps"]
DataPlace = Literal["auto", "always", "never"]


def choose_device(name: DeviceName) -> torch.device:
    """Return the device of that name; ``auto`` is CUDA, else MPS, else the CPU.

    Raises:
        InvalidInputError: if a device is asked for by name and is not there.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(device for device, is_there in there.items() if is_there))
    if not there.get(name, False):
        raise InvalidInputError(
            f"device {name!r} is not available here",
            hint="use device 'auto' or 'cpu', or install a torch build that has it",
        )
    return torch.device(name)


def place(tensor: Tensor, device: torch.device, keep: DataPlace = "auto") -> Tensor:
    """Return the tensor on the device, or as it is.

    A training set that lies on the device is moved once; one that does not is moved batch by batch.

    Args:
        tensor: the whole of the data.
        device: where the training runs.
        keep: ``auto`` moves it if half of the device's free memory holds it; ``always`` moves it;
            ``never`` leaves it where it is.
    """
    if keep == "never":
        return tensor
    if keep == "auto" and device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if tensor.nbytes > free // 2:
            return tensor
    return tensor.to(device)
