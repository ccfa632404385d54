from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from compat.classifiers import Classifier, read_classifier, write_classifier
from compat.encoder_files import load_encoder, save_encoder
from compat.encoders import Encoder, fingerprint
from registry.artifacts import CLASSIFIER, digest_artifact, read_artifact
from registry.errors import CorruptFileError, InvalidInputError


def new() -> Classifier:
    torch.manual_seed(0)
    return Classifier(torch.randn(3, 4), torch.randn(3), (7, -2, 30))


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_classifier(tmp_path) is None
    write_classifier(tmp_path, new())
    found = read_classifier(tmp_path)
    assert found is not None
    assert found.classes == (7, -2, 30)
    torch.testing.assert_close(found.weights, new().weights, rtol=0, atol=0)
    torch.testing.assert_close(found.biases, new().biases, rtol=0, atol=0)


def test_rows_are_found_by_label() -> None:
    assert new().rows_of((30, 1, 7)).tolist() == [2, -1, 0]


def test_it_counts_in_the_artifacts_digest_but_not_in_the_space(tmp_path: Path) -> None:
    encoder = Encoder(nn.Linear(5, 4), dim=4)
    save_encoder(encoder, tmp_path / "without")
    save_encoder(encoder, tmp_path / "with", classifier=new())
    without, kept = read_artifact(tmp_path / "without"), read_artifact(tmp_path / "with")
    assert without.fingerprint == kept.fingerprint == fingerprint(encoder)
    assert without.digest != kept.digest
    (tmp_path / "with" / CLASSIFIER).unlink()
    assert digest_artifact(tmp_path / "with") == without.digest
    assert load_encoder(tmp_path / "without", backbone=nn.Linear(5, 4)).dim == 4


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    write_classifier(tmp_path, new())
    whole = (tmp_path / CLASSIFIER).read_bytes()
    (tmp_path / CLASSIFIER).write_bytes(whole[:50])
    with pytest.raises(CorruptFileError, match="not a file of a classifier"):
        read_classifier(tmp_path)


def test_shapes_must_fit() -> None:
    with pytest.raises(InvalidInputError, match="came with 2 classes"):
        Classifier(torch.zeros(3, 4), torch.zeros(3), (1, 2))
    with pytest.raises(InvalidInputError, match="biases of shape"):
        Classifier(torch.zeros(2, 4), torch.zeros(3), (1, 2))
