"""Random views of images: small rotations, shifts, zooms, shears and mirrorings, on tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from registry.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How far a random affine view may go from the image; all zero means no augmentation.

    Each amount is drawn uniformly between minus and plus its value, for each image anew.

    Attributes:
        rotation: in degrees.
        shift: as a share of the image's side, along each axis.
        scale: natural logarithm of the zoom.
        shear: sideways share of a step upwards.
        flip: whether half of the images, drawn anew each time, are mirrored left to right.
        padding: what stands beyond the border: raw zeros, or the border's own values.
        views: how many views of each image a training run has, at least 1: they are drawn once, and
            its epochs take turns with them. None draws a fresh view whenever an image is seen.

    Raises:
        InvalidInputError: if a value is out of its range, or there are views without augmentation.
    """

    rotation: float = 0.0
    shift: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    flip: bool = False
    padding: Literal["zeros", "border"] = "zeros"
    views: int | None = None

    def __post_init__(self) -> None:
        if min(self.rotation, self.shift, self.scale, self.shear) < 0:
            raise InvalidInputError(f"amounts of augmentation must be at least 0 but got {self}")
        if self.views is not None and self.views < 1:
            raise InvalidInputError(
                f"views of an augmentation must be at least 1 but are {self.views}",
                hint="leave them out for a fresh view of an image whenever it is seen",
            )
        if self.views is not None and self.is_none:
            raise InvalidInputError(
                f"{self.views} views of each image were asked for, but no augmentation that could "
                "make them",
                hint="say how far they go, as shift = 0.1, or drop views",
            )

    @property
    def is_none(self) -> bool:
        """Whether it leaves images as they are."""
        return max(self.rotation, self.shift, self.scale, self.shear) == 0 and not self.flip


def random_views(images: Tensor, augmentation: Augmentation, rng: torch.Generator) -> Tensor:
    """Return one random view of each image; the images themselves if there is no augmentation.

    Args:
        images: raw images of any real type. Shape: (n, height, width) or (n, channels, height,
            width).
        augmentation: how far a view may go.
        rng: a generator of the processor, so that every device sees the same views.

    Returns:
        Float32 views. Shape: as the images.

    Raises:
        InvalidInputError: if the inputs are no images.
    """
    maps = random_maps(len(images), augmentation, rng)
    return images if maps is None else views_through(maps, images, augmentation)


def views_through(maps: Tensor, images: Tensor, augmentation: Augmentation) -> Tensor:
    """Return the view of each image that an affine map of `random_maps` gives.

    Args:
        maps: from places in the view to places in the image. Shape: (n, 2, 3).
        images: as in `random_views`.
        augmentation: says what stands beyond the border.

    Raises:
        InvalidInputError: if the inputs are no images.
    """
    if images.ndim not in (3, 4):
        raise InvalidInputError(
            f"inputs of shape {tuple(images.shape)} are no images and cannot be augmented",
            hint="drop [augmentation], or give images as (n, height, width)",
        )
    stacked = images if images.ndim == 4 else images.unsqueeze(1)
    raw = stacked.to(torch.float32)
    grid = functional.affine_grid(maps.to(raw.device), list(raw.shape), align_corners=False)
    views = functional.grid_sample(
        raw, grid, padding_mode=augmentation.padding, align_corners=False
    )
    return views.view(images.shape)


def random_maps(n: int, augmentation: Augmentation, rng: torch.Generator) -> Tensor | None:
    """Return affine maps from places in the view to places in the image; None without augmentation.

    Whoever shares out a batch draws its maps together, so that every share sees the same views.

    Args:
        n: number of images.
        augmentation: how far a view may go.
        rng: a generator of the processor.

    Returns:
        Shape: (n, 2, 3).
    """
    if augmentation.is_none:
        return None
    uniform = 2 * torch.rand(5, n, generator=rng) - 1
    angle = uniform[0] * math.radians(augmentation.rotation)
    zoom = torch.exp(uniform[1] * augmentation.scale)
    shear = uniform[2] * augmentation.shear
    # places run from -1 to 1, so a whole side is 2
    shift_x, shift_y = 2 * augmentation.shift * uniform[3:]
    cosine, sine = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    maps = torch.stack([cosine, shear - sine, shift_x, sine, cosine, shift_y], dim=1).view(n, 2, 3)
    if augmentation.flip:
        is_mirrored = torch.rand(n, generator=rng) < 0.5
        maps[is_mirrored, :, 0] *= -1
    return maps
