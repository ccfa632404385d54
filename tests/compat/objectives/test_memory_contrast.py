from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from compat.objectives import build_objective
from compat.objectives.memory_contrast import Options, build
from compat.objectives.protocol import CompatBatch, Needs, Setting, needs_of
from registry.domain.contracts import Contract, ContractKind
from registry.errors import DimensionMismatchError, InvalidInputError
from tests.compat.objectives.checks import assert_same_with_gradients, total, train_steps
from tests.reference import memory_contrast as reference
from tests.reference.oca import prototypes

N, DIM, OLD_DIM, N_CLASSES = 20, 7, 4, 5


def random_setting() -> Setting:
    labels = torch.arange(N) % N_CLASSES
    return Setting(DIM, N_CLASSES, labels, torch.randn(N, OLD_DIM, dtype=torch.float64))


def random_batch() -> CompatBatch:
    features = torch.randn(8, DIM, dtype=torch.float64, requires_grad=True)
    old = torch.randn(8, OLD_DIM, dtype=torch.float64)
    return CompatBatch(features, old, torch.arange(8) % N_CLASSES)


@pytest.mark.parametrize("options", [Options(), Options(temperature=0.5, image_weight=2)])
def test_values_and_gradients_equal_the_reference(options: Options) -> None:
    setting, batch = random_setting(), random_batch()
    assert setting.old_features is not None
    assert batch.old_features is not None
    objective = build(options, setting).double()
    means = prototypes(setting.old_features, setting.labels, N_CLASSES)
    memory = (setting.old_features, setting.labels)
    contrast = reference.contrast(batch.features, batch.labels, means, memory, options.temperature)
    image = reference.image(batch.features, batch.old_features)
    terms = objective(batch)
    ours = terms["contrast"] + terms["image"]
    expected = options.contrast_weight * contrast + options.image_weight * image
    assert_same_with_gradients(ours, expected, [batch.features])


def test_gradcheck() -> None:
    objective, batch = build(Options(), random_setting()).double(), random_batch()
    assert torch.autograd.gradcheck(
        lambda f: total(objective, CompatBatch(f, batch.old_features, batch.labels)),
        (batch.features,),
    )


def test_a_part_of_the_memory_is_drawn_by_the_generator() -> None:
    objective, batch = build(Options(memory_size=3), random_setting()).double(), random_batch()
    torch.manual_seed(1)
    first = total(objective, batch).detach()
    second = total(objective, batch).detach()
    torch.manual_seed(1)
    assert torch.equal(total(objective, batch).detach(), first)
    assert not torch.equal(first, second)


def test_without_the_image_term_no_old_features_are_needed() -> None:
    setting = random_setting()
    objective = build(Options(image_weight=0), setting).double()
    assert needs_of(objective) == Needs(old_features=False, twin_features=False, raw_features=False)
    assert set(objective(replace(random_batch(), old_features=None))) == {"new", "contrast"}
    assert needs_of(build_objective("memory-contrast", {}, setting)).old_features
    with_image = build(Options(), setting).double()
    with pytest.raises(InvalidInputError, match="no features of the old model"):
        with_image(replace(random_batch(), old_features=None))


def test_the_memory_is_constant_and_in_no_checkpoint() -> None:
    setting = random_setting()
    assert setting.old_features is not None
    setting.old_features.requires_grad_()
    objective, batch = build(Options(), setting).double(), random_batch()
    total(objective, batch).backward()  # type: ignore[no-untyped-call]
    assert setting.old_features.grad is None
    assert set(objective.state_dict()) == {"prototypes", "classifier.linear.weight"}


def test_30_steps_lower_the_loss() -> None:
    labels, old = torch.arange(60) % N_CLASSES, torch.randn(60, OLD_DIM)
    losses = train_steps(
        build(Options(), random_setting()).float(),
        lambda f: CompatBatch(f, old, labels),
        dim=DIM,
        n_steps=30,
    )
    assert losses[-1] < losses[0] - 0.5


def test_it_declares_the_old_dimensions_as_a_prefix() -> None:
    objective = build(Options(), random_setting())
    assert objective.contract == Contract(ContractKind.PREFIX, OLD_DIM)
    assert isinstance(objective.head, nn.Identity)


def test_settings_that_do_not_fit_are_refused() -> None:
    setting = random_setting()
    with pytest.raises(InvalidInputError, match="'memory-contrast' needs an old model"):
        build(Options(), replace(setting, old_features=None))
    with pytest.raises(DimensionMismatchError, match="4 dimensions but the new one only 3"):
        build(Options(), replace(setting, dim=3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"contrast_weight": -1}, "weights"),
        ({"temperature": 0}, "temperature"),
        ({"memory_size": 0}, "memory_size"),
        ({"label_smoothing": 1}, "label_smoothing"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Options(**options)  # type: ignore[arg-type]
