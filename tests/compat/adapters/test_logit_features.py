from __future__ import annotations

import numpy as np
import pytest

from compat.adapters import logit_features


def test_a_confident_classifier_puts_classes_on_a_simplex() -> None:
    vectors = logit_features((20 * np.eye(5)).astype(np.float32))
    expected = np.full((5, 5), -1 / 4)
    np.fill_diagonal(expected, 1)
    np.testing.assert_allclose(vectors @ vectors.T, expected, atol=1e-6)
    probabilities = logit_features((20 * np.eye(5)).astype(np.float32), kind="probabilities")
    np.testing.assert_allclose(probabilities, vectors, atol=1e-6)


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_what_a_softmax_does_not_see_does_not_count(rng: np.random.Generator, kind: str) -> None:
    logits = rng.normal(size=(6, 4)).astype(np.float32)
    moved = logits + rng.normal(size=(6, 1)).astype(np.float32)
    found = logit_features(logits, kind=kind)  # type: ignore[arg-type]
    np.testing.assert_allclose(logit_features(moved, kind=kind), found, atol=1e-5)  # type: ignore[arg-type]
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert found.dtype == np.float32


def test_only_shared_classes_count(rng: np.random.Generator) -> None:
    logits = rng.normal(size=(6, 7)).astype(np.float32)
    found = logit_features(logits, n_shared=4)
    assert found.shape == (6, 4)
    np.testing.assert_array_equal(found, logit_features(logits[:, :4]))


def test_probabilities_by_hand() -> None:
    logits = np.log([[1.0, 2.0, 5.0]]).astype(np.float32)
    centred = np.array([1 / 8, 2 / 8, 5 / 8]) - 1 / 3
    expected = centred / np.linalg.norm(centred)
    np.testing.assert_allclose(logit_features(logits, kind="probabilities")[0], expected, atol=1e-6)
    squares = np.array([1 / 30, 4 / 30, 25 / 30]) - 1 / 3  # a temperature of 1/2
    found = logit_features(logits, kind="probabilities", temperature=0.5)[0]
    np.testing.assert_allclose(found, squares / np.linalg.norm(squares), atol=1e-6)


def test_undecided_logits_give_no_direction() -> None:
    np.testing.assert_array_equal(logit_features(np.ones((2, 3), np.float32)), np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_shared": 1}, "n_shared must be in"),
        ({"n_shared": 4}, "n_shared must be in"),
        ({"kind": "scores"}, "kind must be"),
        ({"temperature": 0.0}, "temperature above 0"),
    ],
)
def test_settings_are_checked(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        logit_features(np.ones((2, 3), np.float32), **settings)  # type: ignore[arg-type]


def test_logits_must_be_finite() -> None:
    with pytest.raises(ValueError, match="finite"):
        logit_features(np.array([[1.0, np.inf]], np.float32))
