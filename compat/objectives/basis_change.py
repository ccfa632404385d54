"""The head of BT²: from two targets to one vector of constant length, through two rotations."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from registry.errors import DimensionMismatchError, InvalidInputError

from .orthogonal import OrthogonalLayer
from .requirements import check_positive


@dataclass(frozen=True, slots=True)
class HeadOptions:
    """Sizes of the head; what it takes to build it again.

    Attributes:
        in_dim: dimensions of the backbone's features.
        old_dim: dimensions of the old model.
        twin_dim: dimensions of the twin, an independently trained new model.
        to_add_dim: dimensions in which the head adds to the twin's, at least 1.
        radius: C, the length of the twin's part of a vector, above 0; 2 in [1].

    Raises:
        InvalidInputError: if a size is out of its range.
        DimensionMismatchError: if the backbone has too few dimensions, or the vectors as many as
            the old model's or fewer.
    """

    in_dim: int
    old_dim: int
    twin_dim: int
    to_add_dim: int
    radius: float = 2.0

    def __post_init__(self) -> None:
        if min(self.in_dim, self.old_dim, self.twin_dim, self.to_add_dim) < 1:
            raise InvalidInputError(f"every size of a basis change must be at least 1: {self}")
        check_positive({"radius": self.radius})
        if self.in_dim < self.twin_dim:
            raise DimensionMismatchError(
                f"the twin has {self.twin_dim} dimensions but the backbone only {self.in_dim}",
                hint=f"give the backbone dim = {self.twin_dim + self.old_dim}, the twin's and the "
                "old model's together",
            )
        if self.dim <= self.old_dim:
            raise DimensionMismatchError(
                f"vectors would have {self.dim} dimensions, {self.twin_dim} of the twin and "
                f"{self.to_add_dim} added, and the old model has {self.old_dim}: nothing is left "
                "over for what is new",
                hint=f"set to_add_dim = {self.old_dim - self.twin_dim + 32}, or any value above "
                f"{self.old_dim - self.twin_dim}",
            )

    @property
    def dim(self) -> int:
        """Dimensions of the vectors that the head gives."""
        return self.twin_dim + self.to_add_dim


class BasisChangeHead(nn.Module):
    """Two orthonormal basis changes that let one vector hold both the old space and the new.

    With x the backbone's feature, A the added linear map, P and Q orthogonal, and C the radius:

        f   = unit(x[:twin_dim])                         imitates the twin
        g   = unit(A relu(x))                            to_add_dim added dimensions
        h   = [g ; P C f]
        phi = [Q h[:old_dim] ; h[old_dim:]]              its first part imitates the old model

    ‖phi‖² = ‖g‖² + C² ‖f‖² = 1 + C² for every input, and f and g follow from phi: nothing is lost,
    it is only turned. The maps are computed in float32 under autocast.

    In [1] A gives old_dim outputs, of which all but the first to_add_dim are dropped before the
    last normalisation; they have no effect on any output or gradient, and are not made here.

    Attributes:
        dim: dimensions of phi.
        added: A. Weight shape: (to_add_dim, in_dim).
        inner: P. Weight shape: (twin_dim, twin_dim).
        outer: Q. Weight shape: (old_dim, old_dim).

    References:
        [1] Zhou et al., "BT²: backward-compatible training with basis transformation", ICCV 2023,
            arXiv:2211.03989, and the authors' released code (BT-2 at 8282360), read for facts. None
            of it is copied.
    """

    def __init__(self, options: HeadOptions) -> None:
        super().__init__()
        self.options = options
        self.dim = options.dim
        self.added = nn.Linear(options.in_dim, options.to_add_dim)
        self.inner = OrthogonalLayer(options.twin_dim, bias=False)
        self.outer = OrthogonalLayer(options.old_dim, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Return phi. Shape: (n, in_dim) to (n, dim)."""
        return self.join(*self.split(features))

    def split(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return f and g, both of unit length. Shapes: (n, twin_dim) and (n, to_add_dim)."""
        with torch.autocast(features.device.type, enabled=False):
            whole = features.to(self.added.weight.dtype)
            added: Tensor = self.added(functional.relu(whole))
            twin = functional.normalize(whole[:, : self.options.twin_dim])
            return twin, functional.normalize(added)

    def join(self, twin: Tensor, added: Tensor) -> Tensor:
        """Return phi from f and g. Shapes: (n, twin_dim), (n, to_add_dim) to (n, dim)."""
        old_dim = self.options.old_dim
        turned = self.inner(self.options.radius * twin)
        joined = torch.cat([added, turned], dim=1)
        return torch.cat([self.outer(joined[:, :old_dim]), joined[:, old_dim:]], dim=1)

    def twin_map(self) -> Tensor:
        """Return the linear map that recovers f from phi. Shape: (twin_dim, dim)."""
        sizes = self.options
        outer, inner = self.outer.matrix(), self.inner.matrix()
        turned_back = torch.eye(sizes.dim, dtype=inner.dtype, device=inner.device)
        turned_back[: sizes.old_dim, : sizes.old_dim] = outer.T  # h = turned_back · phi
        return inner.T @ turned_back[sizes.to_add_dim :] / sizes.radius
