"""Encoders: a network with its preprocessing and normalisation, and what identifies its space."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from registry.domain.canonical import Json, sha256_text
from registry.domain.versions import SpaceDescription, fingerprint_artifact
from registry.errors import DimensionMismatchError, InvalidInputError

from .heads import Headed
from .preprocessing import Preprocessing

# The names that safetensors gives to types.
_DTYPE_NAMES: Final = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class Encoder(nn.Module):
    """Preprocessing, a backbone and, if wanted, L2 normalisation: from raw inputs to vectors.

    Attributes:
        backbone: any network that gives features. Output shape: (n, dim).
        dim: number of dimensions of a vector.
        preprocessing: applied to raw inputs first.
        normalised: whether vectors leave with unit L2 norm.
        backbone_name: the backbone's name in the catalog, or None for a network of the user's own.
        backbone_options: what the backbone was built with.

    Raises:
        InvalidInputError: if `dim` is below 1.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        dim: int,
        preprocessing: Preprocessing | None = None,
        normalised: bool = True,
        backbone_name: str | None = None,
        backbone_options: Mapping[str, Json] | None = None,
    ) -> None:
        super().__init__()
        if dim < 1:
            raise InvalidInputError(f"dim must be at least 1 but got {dim}")
        self.backbone = backbone
        self.dim = dim
        self.preprocessing = preprocessing or Preprocessing()
        self.normalised = normalised
        self.backbone_name = backbone_name
        self.backbone_options = dict(backbone_options or {})

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the vectors of raw inputs, as float32 even under autocast.

        Args:
            inputs: raw inputs, as they were collected. Shape: (n, ...).

        Returns:
            Vectors. Shape: (n, dim).

        Raises:
            DimensionMismatchError: if the backbone gives something other than (n, dim).
        """
        vectors = self.features(inputs)
        return functional.normalize(vectors) if self.normalised else vectors

    def features(self, inputs: Tensor) -> Tensor:
        """Return what the backbone gives, before any normalisation, as float32.

        It is what objectives with `needs_raw_features` are trained on.

        Args:
            inputs: raw inputs, as they were collected. Shape: (n, ...).

        Returns:
            Features. Shape: (n, dim).

        Raises:
            DimensionMismatchError: if the backbone gives something other than (n, dim).
        """
        features = self.backbone(self.preprocessing.apply(inputs))
        if features.shape != (len(inputs), self.dim):
            raise DimensionMismatchError(
                f"the backbone gave features of shape {tuple(features.shape)} but "
                f"{(len(inputs), self.dim)} was expected",
                hint="its last layer must give one row of dim features for each input",
            )
        raw: Tensor = features.float()
        return raw


def describe(encoder: Encoder) -> SpaceDescription:
    """Return what, beside the weights, determines the encoder's space. Holds no module path."""
    architecture: dict[str, Json] = {
        "backbone": encoder.backbone_name,
        "options": encoder.backbone_options,
        "structure": structure_digest(encoder.backbone),
    }
    if isinstance(encoder.backbone, Headed):
        architecture["head"] = encoder.backbone.to_json()
    return SpaceDescription(
        architecture=architecture,
        preprocessing=encoder.preprocessing.to_json(),
        normalised=encoder.normalised,
        dim=encoder.dim,
    )


def structure_digest(module: nn.Module) -> str:
    """Return the SHA-256 of a network's structure: class names, settings, and tensors' shapes.

    Modules count by the name of their class, without the package it lives in, and by the settings
    that they show when printed; so moving code to another file changes nothing.
    """
    tensors = [
        f"{name} {tensor.dtype} {tuple(tensor.shape)}"
        for name, tensor in sorted(module.state_dict().items())
    ]
    printed = _ADDRESS.sub("", repr(module))
    return sha256_text("\n".join([printed, *tensors]))


def fingerprint(encoder: Encoder) -> str:
    """Return the fingerprint of the encoder's space, from the tensors that it holds now.

    It equals the fingerprint of the folder that `save_encoder` writes.
    """
    return fingerprint_artifact(digest_tensors(cpu_tensors(encoder.backbone)), describe(encoder))


def cpu_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return a network's parameters and buffers by name: on the CPU, contiguous, unshared."""
    return {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in module.state_dict().items()
    }


def digest_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of contiguous CPU tensors: names, types, shapes and bytes.

    It equals `registry.artifacts.weights_digest` of a safetensors file with these tensors.

    Raises:
        InvalidInputError: if a tensor has a type that safetensors does not keep.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        if tensor.dtype not in _DTYPE_NAMES:
            raise InvalidInputError(
                f"tensor {name!r} has the type {tensor.dtype}, which no file keeps"
            )
        entry = [name, _DTYPE_NAMES[tensor.dtype], list(tensor.shape)]
        digest.update(json.dumps(entry).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
