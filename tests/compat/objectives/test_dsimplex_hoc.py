from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from compat.objectives import build_objective
from compat.objectives.dsimplex_hoc import Options, Variant, build, higher_order_contrast
from compat.objectives.protocol import CompatBatch, Needs, Setting, needs_of
from registry.domain.contracts import Contract, ContractKind
from registry.errors import DimensionMismatchError, InvalidInputError
from tests.compat.objectives.checks import assert_same_with_gradients, total, train_steps
from tests.reference import dsimplex as reference

N_SLOTS, DIM, N_CLASSES = 8, 7, 3
SLOTS = torch.tensor([7, 6, 5])  # written from the bottom
SETTING = Setting(
    DIM, N_CLASSES, torch.arange(9) % N_CLASSES, old_features=torch.ones(9, DIM), slots=SLOTS
)


def random_batch() -> CompatBatch:
    features = torch.randn(8, DIM, dtype=torch.float64, requires_grad=True)
    old = torch.randn(8, DIM, dtype=torch.float64)
    return CompatBatch(features, old, torch.tensor([0, 0, 1, 2, 1, 0, 2, 2]))


def expected_contrast(batch: CompatBatch, options: Options) -> Tensor:
    assert batch.old_features is not None
    released = options.variant == "as-released"
    old, new, labels = batch.old_features, batch.features, batch.labels
    forward = reference.hoc(old, new, labels, options.mu, as_released=released)
    if not options.symmetric:
        return forward
    return (forward + reference.hoc(new, old, labels, options.mu, as_released=released)) / 2


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("variant", ["equation", "as-released"])
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize(("ce_weight", "mu"), [(0.1, 10.0), (0.7, 2.0)])
def test_values_and_gradients_equal_the_reference(
    variant: Variant, symmetric: bool, ce_weight: float, mu: float
) -> None:
    options = Options(ce_weight=ce_weight, mu=mu, variant=variant, symmetric=symmetric)
    objective, batch = build(options, SETTING), random_batch()
    targets = [int(SLOTS[y]) for y in batch.labels]
    classification = reference.classification(batch.features, targets, N_SLOTS)
    contrast = expected_contrast(batch, options)
    terms = objective(batch)
    torch.testing.assert_close(terms["classification"], ce_weight * classification)
    expected = ce_weight * classification + (1 - ce_weight) * contrast
    assert_same_with_gradients(total(objective, batch), expected, [batch.features])


def test_the_defaults_are_those_of_the_released_code_but_for_the_masking() -> None:
    options = Options()
    assert (options.ce_weight, options.mu, options.symmetric) == (0.1, 10, False)
    assert (options.variant, options.unseen, options.label_smoothing) == ("equation", "keep", 0)


def test_in_the_equation_nothing_but_other_classes_stands_against_an_item() -> None:
    similarities = torch.tensor([[5.0, 4.0, 1.0], [3.0, 5.0, 2.0], [0.0, 0.0, 5.0]])
    labels = torch.tensor([0, 0, 1])
    moved = similarities.clone()
    moved[0, 1], moved[1, 0] = 100, -100  # same class, another item
    before = higher_order_contrast(similarities, labels, "equation")
    torch.testing.assert_close(higher_order_contrast(moved, labels, "equation"), before)
    assert before >= 0


def test_the_released_code_goes_below_zero_and_the_equation_does_not() -> None:
    """The positive is missing from its own sum: two classes that are well apart."""
    similarities = 10 * torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    labels = torch.tensor([0, 1])
    assert higher_order_contrast(similarities, labels, "as-released") == pytest.approx(-10, abs=0.1)
    assert 0 <= higher_order_contrast(similarities, labels, "equation") < 1e-6


def test_a_batch_of_one_class_has_no_contrast() -> None:
    similarities, labels = torch.randn(4, 4), torch.zeros(4, dtype=torch.int64)
    assert higher_order_contrast(similarities, labels, "equation") == 0


def test_gradcheck() -> None:
    objective, batch = build(Options(symmetric=True), SETTING).double(), random_batch()
    assert torch.autograd.gradcheck(
        lambda f: total(objective, CompatBatch(f, batch.old_features, batch.labels)),
        (batch.features,),
    )


def test_norms_matter_to_the_classification_only() -> None:
    objective, batch = build(Options(), SETTING).double(), random_batch()
    longer = CompatBatch(3 * batch.features, batch.old_features, batch.labels)
    torch.testing.assert_close(objective(longer)["contrast"], objective(batch)["contrast"])
    assert not torch.isclose(
        objective(longer)["classification"], objective(batch)["classification"]
    )


def test_the_old_model_gets_no_gradients() -> None:
    objective, batch = build(Options(symmetric=True), SETTING).double(), random_batch()
    assert batch.old_features is not None
    batch.old_features.requires_grad_()
    total(objective, batch).backward()  # type: ignore[no-untyped-call]
    assert batch.old_features.grad is None
    assert not list(objective.parameters())


@pytest.mark.parametrize("variant", ["equation", "as-released"])
def test_30_steps_lower_the_loss(variant: Variant) -> None:
    labels, old = torch.arange(60) % N_CLASSES, torch.randn(60, DIM)
    losses = train_steps(
        build(Options(variant=variant), SETTING),
        lambda f: CompatBatch(f, old, labels),
        dim=DIM,
        n_steps=30,
    )
    assert losses[-1] < losses[0] - 0.1


def test_what_it_needs_and_declares() -> None:
    objective = build_objective("dsimplex-hoc", {"variant": "as-released"}, SETTING)
    assert objective.contract == Contract(ContractKind.SAME_SPACE, DIM)
    assert isinstance(objective.head, nn.Identity)
    assert needs_of(objective) == Needs(old_features=True, twin_features=False, raw_features=True)


def test_a_missing_previous_model_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="'dsimplex-hoc' needs an old model"):
        build(Options(), replace(SETTING, old_features=None))
    objective, batch = build(Options(), SETTING).double(), random_batch()
    with pytest.raises(InvalidInputError, match="no features of the old model"):
        objective(replace(batch, old_features=None))


def test_a_previous_model_of_another_simplex_is_refused() -> None:
    other = replace(SETTING, old_features=torch.ones(9, DIM + 1))
    with pytest.raises(DimensionMismatchError, match="does not share the simplex"):
        build(Options(), other)
    with pytest.raises(DimensionMismatchError, match="16 slots has 15 dimensions"):
        build(Options(n_slots=16), SETTING)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ce_weight": 1.1}, "ce_weight"),
        ({"ce_weight": -0.1}, "ce_weight"),
        ({"mu": 0}, "mu must be above 0"),
        ({"n_slots": 1}, "n_slots"),
        ({"label_smoothing": 1}, "label_smoothing"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Options(**options)  # type: ignore[arg-type]
