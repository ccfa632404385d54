from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from compat.objectives import build_objective
from compat.objectives.protocol import CompatBatch, Needs, Setting, needs_of
from compat.objectives.two_level import Options, build
from registry.domain.contracts import Contract, ContractKind
from registry.errors import DimensionMismatchError, InvalidInputError
from tests.compat.objectives.checks import (
    assert_same_with_gradients,
    total,
    train_steps,
    weight_and_bias,
)
from tests.reference import two_level as reference
from tests.reference.oca import prototypes

N, DIM, OLD_DIM, N_CLASSES = 20, 7, 4, 5


def random_setting() -> Setting:
    labels = torch.arange(N) % N_CLASSES
    return Setting(DIM, N_CLASSES, labels, torch.randn(N, OLD_DIM, dtype=torch.float64))


def random_batch() -> CompatBatch:
    features = torch.randn(8, DIM, dtype=torch.float64, requires_grad=True)
    old = torch.randn(8, OLD_DIM, dtype=torch.float64)
    return CompatBatch(features, old, torch.arange(8) % N_CLASSES)


@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options(new_weight=2, class_weight=0.5, image_weight=3, class_scale=4, new_scale=8),
        Options(label_smoothing=0.1, class_weight=0),
    ],
)
def test_values_and_gradients_equal_the_reference(options: Options) -> None:
    setting, batch = random_setting(), random_batch()
    assert setting.old_features is not None
    assert batch.old_features is not None
    objective = build(options, setting).double()
    weight, _ = weight_and_bias(objective.classifier.linear)
    expected = reference.loss(
        batch.features,
        batch.old_features,
        batch.labels,
        prototypes(setting.old_features, setting.labels, N_CLASSES),
        weight,
        weights=(options.new_weight, options.class_weight, options.image_weight),
        scales=(options.new_scale, options.class_scale),
        smoothing=options.label_smoothing,
    )
    assert_same_with_gradients(total(objective, batch), expected, [batch.features, weight])


def test_gradcheck() -> None:
    objective, batch = build(Options(), random_setting()).double(), random_batch()
    assert torch.autograd.gradcheck(
        lambda f: total(objective, CompatBatch(f, batch.old_features, batch.labels)),
        (batch.features,),
    )


def test_the_length_of_features_does_not_matter() -> None:
    objective, batch = build(Options(), random_setting()).double(), random_batch()
    longer = replace(batch, features=3 * batch.features)
    torch.testing.assert_close(total(objective, longer), total(objective, batch))


def test_without_the_image_term_no_old_features_are_needed() -> None:
    setting = random_setting()
    objective = build(Options(image_weight=0), setting).double()
    assert needs_of(objective) == Needs(old_features=False, twin_features=False, raw_features=False)
    assert set(objective(replace(random_batch(), old_features=None))) == {"new", "classes"}
    assert needs_of(build_objective("two-level", {}, setting)).old_features
    with_image = build(Options(), setting).double()
    with pytest.raises(InvalidInputError, match="no features of the old model"):
        with_image(replace(random_batch(), old_features=None))


def test_the_old_model_gets_no_gradients() -> None:
    setting, batch = random_setting(), random_batch()
    assert setting.old_features is not None
    assert batch.old_features is not None
    setting.old_features.requires_grad_()
    batch.old_features.requires_grad_()
    total(build(Options(), setting).double(), batch).backward()  # type: ignore[no-untyped-call]
    assert setting.old_features.grad is None
    assert batch.old_features.grad is None


def test_30_steps_lower_the_loss() -> None:
    labels, old = torch.arange(60) % N_CLASSES, torch.randn(60, OLD_DIM)
    losses = train_steps(
        build(Options(), random_setting()).float(),
        lambda f: CompatBatch(f, old, labels),
        dim=DIM,
        n_steps=30,
    )
    assert losses[-1] < losses[0] - 0.3


def test_it_declares_the_old_dimensions_as_a_prefix() -> None:
    objective = build(Options(), random_setting())
    assert objective.contract == Contract(ContractKind.PREFIX, OLD_DIM)
    assert isinstance(objective.head, nn.Identity)


def test_its_classifier_meets_the_deployed_vectors() -> None:
    objective = build(Options(), random_setting()).double()
    vectors = nn.functional.normalize(torch.randn(3, DIM, dtype=torch.float64))
    weights, biases = objective.classifier_on_vectors(normalised=True)
    torch.testing.assert_close(vectors @ weights.T + biases, objective.classifier(vectors))


def test_settings_that_do_not_fit_are_refused() -> None:
    setting = random_setting()
    with pytest.raises(InvalidInputError, match="'two-level' needs an old model"):
        build(Options(), replace(setting, old_features=None))
    with pytest.raises(DimensionMismatchError, match="4 dimensions but the new one only 3"):
        build(Options(), replace(setting, dim=3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_weight": -1}, "weights"),
        ({"new_weight": 0, "class_weight": 0, "image_weight": 0}, "weights"),
        ({"class_scale": 0}, "class_scale"),
        ({"label_smoothing": 1}, "label_smoothing"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Options(**options)  # type: ignore[arg-type]
