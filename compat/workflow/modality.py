"""Whether data are of the kind that a registered version takes, by the canaries kept with it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from safetensors import SafetensorError, safe_open

from compat.embedding import Inputs
from registry.artifacts import CANARIES
from registry.domain.versions import ModelVersion
from registry.errors import CorruptFileError, InvalidInputError
from registry.service import Registry

_NAMES: Final = {  # of types, as safetensors gives them
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "BF16": "bfloat16",
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
}
_IMAGE_NDIM: Final = 3  # of one input: channels, height, width


def check_modality(registry: Registry, version: ModelVersion | None, inputs: Inputs) -> None:
    """Refuse inputs of another kind than those that a version was registered with.

    A network may take them all the same, and its vectors then mean nothing. Inputs are of one kind
    if they have as many axes, as many channels if they are images with channels, and both are
    numbers of tokens, or both values. Bytes and floats are both values, since preprocessing makes
    floats of either; other lengths and sizes are for the network to refuse.

    Raises:
        InvalidInputError: if they are of another kind.
        CorruptFileError: if the version's canaries cannot be read.
    """
    if version is None:
        return
    path = registry.models.artifact_directory(version) / CANARIES
    if not path.is_file():
        return
    dtype, shape = _of_canaries(path)
    found, given = str(inputs.dtype).removeprefix("torch."), tuple(inputs.shape[1:])
    if _kind(dtype, shape) == _kind(found, given):
        return
    raise InvalidInputError(
        f"{version.ref} takes {dtype} of shape {shape}, the data are {found} of shape {given}",
        hint="train on data of the kind that the version was trained on, or leave that version out",
    )


def _kind(dtype: str, shape: tuple[int, ...]) -> tuple[bool, int, int]:
    is_tokens = dtype in ("int16", "int32", "int64")
    return is_tokens, len(shape), shape[0] if len(shape) == _IMAGE_NDIM else 0


def _of_canaries(path: Path) -> tuple[str, tuple[int, ...]]:
    """Return type and shape of one canary."""
    try:
        with safe_open(path, framework="np") as file:
            inputs = file.get_slice("inputs")
            return _NAMES.get(inputs.get_dtype(), inputs.get_dtype()), tuple(inputs.get_shape()[1:])
    except SafetensorError as error:
        raise CorruptFileError(f"{path} is not a file of canaries: {error}") from error
