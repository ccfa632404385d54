"""Artifacts: a folder with a model's weights, read and digested without torch.

A folder holds ``model.safetensors`` (the tensors), ``model.json`` (format number and space
description) and, optionally, ``canaries.safetensors`` (``inputs`` and the ``vectors`` that they
must give) and ``classifier.safetensors`` (``weights``, ``biases`` and ``classes`` of the classifier
that it was trained with, which is no part of the space). Nothing in it is code, and nothing in it
is a pickle.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from .domain.versions import SpaceDescription, fingerprint_artifact
from .errors import CorruptFileError, InvalidInputError, NotFoundError

ARTIFACT_FORMAT = 1
WEIGHTS = "model.safetensors"
DESCRIPTION = "model.json"
CANARIES = "canaries.safetensors"
CLASSIFIER = "classifier.safetensors"
FILES = (CANARIES, CLASSIFIER, DESCRIPTION, WEIGHTS)  # all that an artifact may hold


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
    return Artifact(directory, description, fingerprint(directory), digest_artifact(directory))


def fingerprint(directory: Path) -> str:
    """Return the fingerprint that an artifact's tensors and description give."""
    description = read_description(directory / DESCRIPTION)
    return fingerprint_artifact(weights_digest(directory / WEIGHTS), description)


def read_description(path: Path) -> SpaceDescription:
    """Read ``model.json``."""
    try:
        value: Any = json.loads(path.read_text("utf-8"))
        found = value.pop("format")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
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
    again gives the same digest. Bytes are digested as they lie there, whatever their type.

    Raises:
        CorruptFileError: if the file is truncated or no safetensors file.
    """
    _check_safetensors(path)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        for name in sorted(header):
            entry = header[name]
            begin, end = entry["data_offsets"]
            digest.update(json.dumps([name, entry["dtype"], entry["shape"]]).encode())
            file.seek(8 + length + begin)
            digest.update(file.read(end - begin))
    return digest.hexdigest()


def _check_safetensors(path: Path) -> None:
    """Let the library check header, offsets, shapes and length."""
    try:
        with safe_open(path, framework="numpy"):
            pass
    except SafetensorError as error:
        raise CorruptFileError(
            f"{path} is truncated, or not a safetensors file: {error}"
        ) from error


def digest_artifact(directory: Path) -> str:
    """Return the SHA-256 over the bytes of all of the artifact's files."""
    digest = hashlib.sha256()
    for name in FILES:
        path = directory / name
        if path.is_file():
            digest.update(name.encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
