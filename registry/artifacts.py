"""Artifacts: a folder with a model's weights, read and digested without torch.

A folder holds ``model.safetensors`` (the tensors), ``model.json`` (format number and space
description) and, optionally, ``canaries.safetensors`` (``inputs`` and the ``vectors`` that they
must give). Nothing in it is code, and nothing in it is a pickle.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .domain.versions import SpaceDescription, fingerprint_artifact
from .errors import CorruptFileError, InvalidInputError, NotFoundError

ARTIFACT_FORMAT = 1
WEIGHTS = "model.safetensors"
DESCRIPTION = "model.json"
CANARIES = "canaries.safetensors"
_HEADER_LIMIT = 100 * 2**20


@dataclass(frozen=True, slots=True)
class Artifact:
    """A model's folder, read: what it describes and which space that is."""

    directory: Path
    description: SpaceDescription
    fingerprint: str
    digest: str


def read_artifact(directory: Path) -> Artifact:
    """Read a folder and compute its fingerprint from the tensors that lie there.

    Raises:
        NotFoundError: if the folder or one of its two files is missing.
        CorruptFileError: if a file cannot be read as what it should be.
        InvalidInputError: if it was written by a newer format.
    """
    for name in (WEIGHTS, DESCRIPTION):
        if not (directory / name).is_file():
            raise NotFoundError(
                f"{directory} is no model artifact: {name} is missing",
                hint="'samespace train' and compat.save_encoder write such a folder",
            )
    description = read_description(directory / DESCRIPTION)
    fingerprint = fingerprint_artifact(weights_digest(directory / WEIGHTS), description)
    return Artifact(directory, description, fingerprint, digest_artifact(directory))


def read_description(path: Path) -> SpaceDescription:
    """Read ``model.json``."""
    try:
        value: Any = json.loads(path.read_text("utf-8"))
        found = value.pop("format")
    except (ValueError, KeyError, AttributeError) as error:
        raise CorruptFileError(f"{path} is not a model description: {error}") from error
    if found != ARTIFACT_FORMAT:
        raise InvalidInputError(
            f"{path} has format {found}, this samespace reads {ARTIFACT_FORMAT}",
            hint="update samespace",
        )
    return SpaceDescription.from_json(value)


def write_description(directory: Path, description: SpaceDescription) -> None:
    """Write ``model.json``."""
    value = {"format": ARTIFACT_FORMAT, **description.to_json()}
    text = json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    (directory / DESCRIPTION).write_text(text + "\n", "utf-8")


def weights_digest(path: Path) -> str:
    """Return the SHA-256 of a safetensors file's tensors: names, types, shapes and bytes.

    The file's own metadata and the order of its tensors do not count, so saving the same weights
    again gives the same digest.

    Raises:
        CorruptFileError: if the file is truncated or no safetensors file.
    """
    with path.open("rb") as file:
        header, start = _read_header(path, file.read(8), file)
        digest = hashlib.sha256()
        for name in sorted(header):
            entry = header[name]
            begin, end = entry["data_offsets"]
            digest.update(json.dumps([name, entry["dtype"], entry["shape"]]).encode())
            file.seek(start + begin)
            data = file.read(end - begin)
            if len(data) != end - begin:
                raise CorruptFileError(f"{path} is truncated within tensor {name!r}")
            digest.update(data)
    return digest.hexdigest()


def _read_header(path: Path, prefix: bytes, file: Any) -> tuple[dict[str, Any], int]:
    try:
        (length,) = struct.unpack("<Q", prefix)
        if length > _HEADER_LIMIT:
            raise ValueError(f"header of {length} bytes")
        header = json.loads(file.read(length))
    except (struct.error, ValueError) as error:
        raise CorruptFileError(f"{path} is not a safetensors file: {error}") from error
    header.pop("__metadata__", None)
    return header, 8 + length


def digest_artifact(directory: Path) -> str:
    """Return the SHA-256 over the bytes of all of the artifact's files."""
    digest = hashlib.sha256()
    for name in (CANARIES, DESCRIPTION, WEIGHTS):
        path = directory / name
        if path.is_file():
            digest.update(name.encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
