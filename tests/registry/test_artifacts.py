from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from registry.artifacts import (
    DESCRIPTION,
    WEIGHTS,
    digest_artifact,
    read_artifact,
    read_description,
    weights_digest,
    write_description,
)
from registry.domain.versions import SpaceDescription
from registry.errors import CorruptFileError, InvalidInputError, NotFoundError

SPACE = SpaceDescription(
    architecture={"name": "linear", "sizes": [4, 3]},
    preprocessing={"scale": 0.5, "prefix": "quéry: "},
    normalised=True,
    dim=3,
)
TENSORS = {
    "head.weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "head.bias": np.zeros(3, np.float32),
    "steps": np.array(7, np.int64),
    "nothing": np.empty((0, 2), np.float16),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "model", TENSORS, SPACE)


def write(
    folder: Path,
    tensors: dict[str, Any],
    space: SpaceDescription,
    metadata: dict[str, str] | None = None,
) -> Path:
    folder.mkdir()
    save_file(tensors, folder / WEIGHTS, metadata)
    write_description(folder, space)
    return folder


def test_an_artifact_is_read_without_torch(folder: Path) -> None:
    artifact = read_artifact(folder)
    assert artifact.directory == folder
    assert artifact.description == SPACE
    assert artifact.fingerprint.startswith("sha256:")
    assert artifact.digest == digest_artifact(folder)


def test_the_fingerprint_is_of_tensors_and_description_only(folder: Path, tmp_path: Path) -> None:
    """Order, file metadata and dates do not count; they only change the files' digest."""
    shuffled = dict(reversed(TENSORS.items()))
    again = write(tmp_path / "again", shuffled, SPACE, {"made": "yesterday"})
    assert read_artifact(again).fingerprint == read_artifact(folder).fingerprint
    assert read_artifact(again).digest != read_artifact(folder).digest


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("head.bias", np.array([0, 0, 1e-7], np.float32)),
        ("head.bias", np.zeros(3, np.float16)),
        ("head.bias", np.zeros((3, 1), np.float32)),
        ("other", np.zeros(1, np.float32)),
        ("head.weight", np.arange(12, dtype=np.float32).reshape(4, 3)),
    ],
)
def test_any_changed_tensor_is_another_space(
    folder: Path, tmp_path: Path, name: str, tensor: Any
) -> None:
    other = write(tmp_path / "other", TENSORS | {name: tensor}, SPACE)
    assert read_artifact(other).fingerprint != read_artifact(folder).fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"architecture": {"name": "linear", "sizes": [4, 4]}},
        {"preprocessing": {"scale": 0.5, "prefix": "query: "}},
        {"normalised": False},
        {"dim": 4},
    ],
)
def test_any_changed_field_is_another_space(
    folder: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    space = SpaceDescription.from_json(SPACE.to_json() | change)
    other = write(tmp_path / "other", TENSORS, space)
    assert read_artifact(other).fingerprint != read_artifact(folder).fingerprint


@pytest.mark.parametrize("missing", [WEIGHTS, DESCRIPTION])
def test_a_missing_file_is_named(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(NotFoundError, match=f"{missing} is missing"):
        read_artifact(folder)


@pytest.mark.parametrize("size", [0, 4, 8, 40, -1])
def test_a_truncated_weights_file_is_corrupt(folder: Path, size: int) -> None:
    path = folder / WEIGHTS
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CorruptFileError, match=WEIGHTS):
        weights_digest(path)


def test_a_huge_header_is_not_read(folder: Path) -> None:
    path = folder / WEIGHTS
    path.write_bytes(struct.pack("<Q", 2**60) + b"{}")
    with pytest.raises(CorruptFileError, match="not a safetensors file"):
        weights_digest(path)


@pytest.mark.parametrize("text", ["", "nonsense", "3", '{"dim": 3}', "{"])
def test_a_broken_description_is_corrupt(folder: Path, text: str) -> None:
    (folder / DESCRIPTION).write_text(text)
    with pytest.raises(CorruptFileError, match="not a model description"):
        read_artifact(folder)


def test_a_newer_format_asks_for_an_update(folder: Path) -> None:
    value = json.loads((folder / DESCRIPTION).read_text())
    (folder / DESCRIPTION).write_text(json.dumps(value | {"format": 2}))
    with pytest.raises(InvalidInputError, match="has format 2") as caught:
        read_artifact(folder)
    assert caught.value.hint == "update samespace"


def test_unknown_keys_are_refused(folder: Path) -> None:
    value = json.loads((folder / DESCRIPTION).read_text())
    (folder / DESCRIPTION).write_text(json.dumps(value | {"pooling": "mean"}))
    with pytest.raises(InvalidInputError, match="pooling"):
        read_description(folder / DESCRIPTION)


@pytest.mark.parametrize(
    "header",
    [
        [],
        {"a": 1},
        {"a": {"dtype": "F32", "shape": [1]}},
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}},
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}},
        {"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 4]}},
        {"a": {"dtype": "X99", "shape": [1], "data_offsets": [0, 4]}},
    ],
)
def test_a_header_that_does_not_fit_is_refused(folder: Path, header: object) -> None:
    text = json.dumps(header).encode()
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text + bytes(4))
    with pytest.raises(CorruptFileError):
        read_artifact(folder)


@pytest.mark.parametrize("text", ["[]", "3", "null", '{"format": 1}', "{"])
def test_a_description_that_is_none_is_refused(folder: Path, text: str) -> None:
    (folder / DESCRIPTION).write_text(text)
    with pytest.raises((CorruptFileError, InvalidInputError)):
        read_artifact(folder)
