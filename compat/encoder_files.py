"""Saving an encoder to a folder of open files, and loading it back, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from registry.artifacts import CANARIES, WEIGHTS, read_artifact, write_description
from registry.domain.canonical import Json
from registry.domain.versions import SpaceDescription
from registry.errors import (
    CorruptFileError,
    DigestMismatchError,
    InvalidInputError,
    NotFoundError,
    SpaceMismatchError,
)

from .backbones.catalog import build_backbone
from .classifiers import Classifier, write_classifier
from .deployment import rejoin_head
from .embedding import embed_array
from .encoders import Encoder, cpu_tensors, describe, fingerprint, structure_digest
from .heads import Headed
from .options import build_options
from .preprocessing import Preprocessing


def save_encoder(
    encoder: Encoder,
    directory: Path,
    *,
    canaries: Tensor | None = None,
    classifier: Classifier | None = None,
) -> None:
    """Write weights, description and, if given, canaries and classifier into a folder.

    Args:
        encoder: what to save.
        directory: an empty folder, or one that is made.
        canaries: a few fixed raw inputs; they are kept with the vectors that they give now, so that
            a library that changes under the model is caught. Shape: (n, ...).
        classifier: what it was trained with, for later versions.

    Raises:
        InvalidInputError: if the folder holds something, or a canary's vector is not finite.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise InvalidInputError(
            f"{directory} is not empty", hint="save each version in its own folder"
        )
    if canaries is not None:
        save_file(_embedded(encoder, canaries), directory / CANARIES)
    save_file(cpu_tensors(encoder.backbone), directory / WEIGHTS)
    if classifier is not None:
        write_classifier(directory, classifier)
    write_description(directory, describe(encoder))


def _embedded(encoder: Encoder, canaries: Tensor) -> dict[str, Tensor]:
    inputs = canaries.detach().cpu().contiguous()
    vectors = torch.from_numpy(embed_array(encoder, inputs))
    if not bool(torch.isfinite(vectors).all()):
        raise InvalidInputError(
            "the encoder gives vectors that are NaN or infinite, and is not saved",
            hint="its training diverged, or the canaries hold NaN: look for it in both",
        )
    return {"inputs": inputs, "vectors": vectors}


def load_encoder(
    directory: Path, *, backbone: nn.Module | Callable[[], nn.Module] | None = None
) -> Encoder:
    """Return the encoder that a folder holds, in evaluation mode, on the CPU.

    Args:
        directory: what `save_encoder` wrote.
        backbone: a network of the user's own, or a function that builds it. Not needed for a
            backbone of the catalog. The head that an objective deployed, if any, is put behind it.

    Raises:
        NotFoundError: if the folder is no artifact, or the catalog lacks its backbone.
        InvalidInputError: if the backbone is the user's own and was not given.
        DigestMismatchError: if the network's structure, or the fingerprint of the tensors as
            loaded, is not the folder's.
    """
    artifact = read_artifact(directory)
    description = artifact.description
    module = _backbone(description, backbone, directory)
    expected = description.architecture.get("structure")
    if structure_digest(module) != expected:
        raise DigestMismatchError(
            f"the backbone's structure is not the one that {directory} was saved with",
            hint="build it with the same code and options as when it was trained",
        )
    module.load_state_dict(load_file(directory / WEIGHTS))
    encoder = _encoder(module, description).eval()
    found = fingerprint(encoder)
    if found != artifact.fingerprint:
        raise DigestMismatchError(
            f"the encoder as loaded has the fingerprint {found} but {directory} has "
            f"{artifact.fingerprint}",
            hint="the files changed, or the backbone alters its weights when it loads them",
        )
    return encoder


def _backbone(
    description: SpaceDescription,
    given: nn.Module | Callable[[], nn.Module] | None,
    directory: Path,
) -> nn.Module:
    backbone = _bare_backbone(description, given, directory)
    head = description.architecture.get("head")
    if head is None or isinstance(backbone, Headed):
        return backbone
    return rejoin_head(backbone, cast("Mapping[str, Json]", head))


def _bare_backbone(
    description: SpaceDescription,
    given: nn.Module | Callable[[], nn.Module] | None,
    directory: Path,
) -> nn.Module:
    if isinstance(given, nn.Module):
        return given
    if given is not None:
        return given()
    name = description.architecture.get("backbone")
    if not isinstance(name, str):
        raise InvalidInputError(
            f"{directory} holds a backbone that is not in samespace's catalog",
            hint="give it: load_encoder(directory, backbone=MyNetwork)",
        )
    options = cast("Mapping[str, Json]", description.architecture.get("options", {}))
    return build_backbone(name, options)


def _encoder(module: nn.Module, description: SpaceDescription) -> Encoder:
    name: Any = description.architecture.get("backbone")
    return Encoder(
        module,
        dim=description.dim,
        preprocessing=build_options(
            Preprocessing, cast("Mapping[str, object]", description.preprocessing), "preprocessing"
        ),
        normalised=description.normalised,
        backbone_name=name,
        backbone_options=cast("Mapping[str, Json]", description.architecture.get("options", {})),
    )


def check_canaries(encoder: Encoder, directory: Path, tolerance: float) -> float:
    """Return the largest deviation of the canaries' vectors from those that were saved.

    Args:
        encoder: the encoder as loaded now.
        directory: the folder that it came from.
        tolerance: the largest absolute deviation of one coordinate that is let pass.

    Raises:
        NotFoundError: if the folder holds no canaries.
        CorruptFileError: if their file cannot be read.
        SpaceMismatchError: if a coordinate deviates by more than the tolerance.
    """
    path = directory / CANARIES
    if not path.is_file():
        raise NotFoundError(
            f"{directory} holds no canaries", hint="save_encoder(…, canaries=inputs)"
        )
    try:
        saved = load_file(path)
        inputs, vectors = saved["inputs"], saved["vectors"]
    except (SafetensorError, KeyError) as error:
        raise CorruptFileError(f"{path} is not a file of canaries: {error}") from error
    now = torch.from_numpy(embed_array(encoder, inputs))
    deviation = float((now - vectors).abs().max()) if now.shape == vectors.shape else float("inf")
    if not deviation <= tolerance:
        raise SpaceMismatchError(
            f"canaries deviate by {deviation:.3g} from their saved vectors, above {tolerance:.3g}",
            hint="something under the model changed: library, hardware or code; do not mix vectors",
        )
    return deviation
