from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from compat.objectives.geometry import class_prototypes
from compat.objectives.oca import OCA, Options, build
from compat.objectives.orthogonal import OrthogonalLayer
from compat.objectives.protocol import CompatBatch, Setting
from registry.domain.contracts import Contract, ContractKind
from registry.errors import DimensionMismatchError, InvalidInputError
from tests.reference import oca as reference

N, DIM, OLD_DIM, N_CLASSES = 30, 7, 4, 5


@pytest.fixture(autouse=True)
def _repeatable() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def random_setting() -> Setting:
    labels = torch.arange(N) % N_CLASSES
    old = torch.randn(N, OLD_DIM, dtype=torch.float64)
    return Setting(dim=DIM, n_classes=N_CLASSES, labels=labels, old_features=old)


def random_batch(dtype: torch.dtype = torch.float64) -> CompatBatch:
    labels = torch.randint(N_CLASSES, (8,))
    return CompatBatch(torch.randn(8, DIM, dtype=dtype, requires_grad=True), None, labels)


def total(objective: OCA, batch: CompatBatch) -> Tensor:
    return torch.stack(list(objective(batch).values())).sum()


def weight_and_bias(linear: nn.Module) -> tuple[Tensor, Tensor]:
    weight, bias = linear.weight, linear.bias
    assert isinstance(weight, Tensor)
    assert isinstance(bias, Tensor)
    return weight, bias


def reference_loss(objective: OCA, features: Tensor, batch: CompatBatch) -> Tensor:
    layer = objective.transform
    linear = layer.linear if isinstance(layer, OrthogonalLayer) else None
    orthogonal = None if linear is None else weight_and_bias(linear)
    options = objective.options
    return reference.loss(
        features,
        batch.labels,
        objective.prototypes,
        orthogonal=orthogonal,
        classifier=weight_and_bias(objective.classifier.linear),
        weights=(options.new_weight, options.compatible_weight, options.alignment_weight),
        smoothing=options.label_smoothing,
    )


@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options(orthogonal=False),
        Options(label_smoothing=0.0),
        Options(new_weight=1, compatible_weight=0.5, alignment_weight=3),
    ],
)
def test_values_and_gradients_equal_the_reference(options: Options) -> None:
    objective = build(options, random_setting()).double()
    batch = random_batch()
    theirs = batch.features.detach().clone().requires_grad_()
    parameters = list(objective.parameters())

    ours = total(objective, batch)
    expected = reference_loss(objective, theirs, batch)
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)

    got = torch.autograd.grad(ours, [batch.features, *parameters])
    wanted = torch.autograd.grad(expected, [theirs, *parameters])
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


def test_the_defaults_are_those_of_the_released_code() -> None:
    options = Options()
    assert (options.new_weight, options.compatible_weight, options.alignment_weight) == (5, 10, 5)
    assert (options.label_smoothing, options.orthogonal) == (0.1, True)
    assert (options.new_scale, options.compatible_scale, options.cosine) == (1, 1, False)


def test_prototypes_equal_the_reference() -> None:
    setting = random_setting()
    assert setting.old_features is not None
    found = class_prototypes(setting.old_features, setting.labels, N_CLASSES)
    expected = reference.prototypes(setting.old_features, setting.labels, N_CLASSES)
    torch.testing.assert_close(found, expected)
    assert (found.norm(dim=1) < 1).all()


def test_gradcheck() -> None:
    objective = build(Options(new_scale=3, compatible_scale=2), random_setting()).double()
    batch = random_batch()

    def loss(features: Tensor) -> Tensor:
        return total(objective, CompatBatch(features, None, batch.labels))

    assert torch.autograd.gradcheck(loss, (batch.features,))


def test_scales_multiply_the_logits() -> None:
    setting = random_setting()
    plain = build(Options(compatible_scale=1), setting).double()
    scaled = build(Options(compatible_scale=16), setting).double()
    batch = random_batch()
    compatible = torch.nn.functional.normalize(batch.features[:, :OLD_DIM])
    expected = torch.nn.functional.cross_entropy(
        16 * compatible @ scaled.prototypes.T, batch.labels, label_smoothing=0.1
    )
    torch.testing.assert_close(scaled(batch)["compatible"], 10 * expected)
    assert not torch.isclose(plain(batch)["compatible"], scaled(batch)["compatible"])


def test_perfectly_aligned_features_have_no_alignment_loss() -> None:
    objective = build(Options(), random_setting()).double()
    labels = torch.arange(N_CLASSES)
    extra = torch.randn(N_CLASSES, DIM - OLD_DIM, dtype=torch.float64)
    features = torch.cat([objective.prototypes, extra], dim=1)
    terms = objective(CompatBatch(features, None, labels))
    assert float(terms["alignment"].detach()) == pytest.approx(0, abs=1e-12)


def test_the_norm_of_features_does_not_matter() -> None:
    objective = build(Options(), random_setting()).double()
    batch = random_batch()
    longer = CompatBatch(batch.features * 7, None, batch.labels)
    torch.testing.assert_close(total(objective, batch), total(objective, longer))


def test_old_features_and_prototypes_never_get_gradients() -> None:
    setting = random_setting()
    assert setting.old_features is not None
    setting.old_features.requires_grad_()
    objective = build(Options(), setting).double()
    total(objective, random_batch()).backward()  # type: ignore[no-untyped-call]
    assert setting.old_features.grad is None
    assert not objective.prototypes.requires_grad
    assert "prototypes" not in dict(objective.named_parameters())
    assert "prototypes" in objective.state_dict()


def run_30_steps(objective: OCA) -> list[float]:
    torch.manual_seed(1)
    inputs, labels = torch.randn(60, 10), torch.arange(60) % N_CLASSES
    network = nn.Linear(10, DIM)
    parameters = [*network.parameters(), *objective.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.02, momentum=0.9)
    losses = []
    for _ in range(30):
        loss = total(objective, CompatBatch(network(inputs), None, labels))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


@pytest.mark.parametrize("orthogonal", [True, False])
def test_30_steps_lower_the_loss_and_keep_the_layer_orthogonal(orthogonal: bool) -> None:
    objective = build(Options(orthogonal=orthogonal), random_setting()).float()
    before = objective.prototypes.clone()
    losses = run_30_steps(objective)
    assert losses[-1] < losses[0] - 0.5
    assert torch.equal(objective.prototypes, before)
    if isinstance(objective.transform, OrthogonalLayer):
        weight = weight_and_bias(objective.transform.linear)[0].detach()
        assert (weight @ weight.T - torch.eye(DIM)).abs().max() < 1e-5


def test_the_orthogonal_layer_keeps_distances_and_stays_float32_under_autocast() -> None:
    layer = OrthogonalLayer(DIM)
    a, b = torch.randn(2, 6, DIM)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        mapped_a, mapped_b = layer(a), layer(b.bfloat16().float())
    assert mapped_a.dtype == torch.float32
    kept = (mapped_a - mapped_b).norm(dim=1)
    torch.testing.assert_close(kept, (a - b.bfloat16().float()).norm(dim=1), rtol=1e-5, atol=1e-5)


def test_it_declares_the_old_dimensions_as_a_prefix() -> None:
    objective = build(Options(), random_setting())
    assert objective.contract == Contract(ContractKind.PREFIX, OLD_DIM)
    assert isinstance(objective.head, nn.Identity)


def test_a_class_without_samples_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="2 of 4 classes have no sample, first class 1"):
        class_prototypes(torch.ones(2, 3), torch.tensor([0, 2]), 4)


def test_labels_out_of_range_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="labels must be in"):
        class_prototypes(torch.ones(2, 3), torch.tensor([0, 4]), 4)


def test_a_new_space_smaller_than_the_old_one_is_refused() -> None:
    setting = Setting(3, 2, torch.tensor([0, 1]), torch.ones(2, 4))
    with pytest.raises(DimensionMismatchError, match="4 dimensions but the new one only 3") as info:
        build(Options(), setting)
    assert info.value.hint is not None
    assert "dim = 4" in info.value.hint


def test_a_missing_old_model_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="needs an old model"):
        build(Options(), Setting(3, 2, torch.tensor([0, 1])))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"new_weight": -1}, "weights"),
        ({"new_weight": 0, "compatible_weight": 0, "alignment_weight": 0}, "weights"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"compatible_scale": 0}, "compatible_scale must be above 0"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Options(**options)  # type: ignore[arg-type]
