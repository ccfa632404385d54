from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from compat.backbones import build_backbone
from compat.deployment import with_head
from compat.encoder_files import load_encoder, save_encoder
from compat.encoders import Encoder, describe, fingerprint
from compat.objectives import build_objective
from compat.objectives.basis_change import BasisChangeHead, HeadOptions
from compat.objectives.bt2 import BT2, Options, build
from compat.objectives.catalog import build_head
from compat.objectives.orthogonal import OrthogonalLayer, baked
from compat.objectives.protocol import CompatBatch, Needs, Setting, needs_of
from registry.domain.canonical import Json
from registry.domain.contracts import Contract, ContractKind
from registry.errors import DimensionMismatchError, InvalidInputError, NotFoundError
from tests.compat.objectives.checks import (
    assert_same_with_gradients,
    total,
    train_steps,
    weight_and_bias,
)
from tests.reference import bt2 as reference

N, OLD_DIM, TWIN_DIM, ADDED, N_CLASSES = 30, 6, 5, 3, 4
IN_DIM, DIM = OLD_DIM + TWIN_DIM, TWIN_DIM + ADDED
SIZES = HeadOptions(in_dim=IN_DIM, old_dim=OLD_DIM, twin_dim=TWIN_DIM, to_add_dim=ADDED)
OPTIONS = Options(to_add_dim=ADDED)


def random_setting() -> Setting:
    labels = torch.arange(N) % N_CLASSES
    old = torch.randn(N, OLD_DIM, dtype=torch.float64)
    twin = torch.randn(N, TWIN_DIM, dtype=torch.float64)
    return Setting(IN_DIM, N_CLASSES, labels, old, twin)


def random_batch(n: int = 8) -> CompatBatch:
    features = torch.randn(n, IN_DIM, dtype=torch.float64, requires_grad=True)
    old = torch.randn(n, OLD_DIM, dtype=torch.float64)
    twin = torch.randn(n, TWIN_DIM, dtype=torch.float64)
    return CompatBatch(features, old, torch.arange(n) % N_CLASSES, twin)


def head_of(objective: BT2) -> BasisChangeHead:
    assert isinstance(objective.head, BasisChangeHead)
    return objective.head


def trained_a_little(objective: BT2) -> BT2:
    """Away from the start, where both maps may be special."""
    with torch.no_grad():
        for parameter in objective.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return objective


def maps_of(head: BasisChangeHead) -> reference.Maps:
    return reference.Maps(
        weight_and_bias(head.inner.linear)[0],
        weight_and_bias(head.outer.linear)[0],
        weight_and_bias(head.added),
        head.options.radius,
    )


@pytest.mark.parametrize(
    "options",
    [OPTIONS, Options(to_add_dim=ADDED, radius=0.5, twin_weight=3, prototype_weight=0.5)],
)
def test_values_and_gradients_equal_the_reference(options: Options) -> None:
    objective = trained_a_little(build(options, random_setting()).double())
    batch = random_batch()
    assert batch.old_features is not None
    assert batch.twin_features is not None
    expected = reference.loss(
        batch.features,
        batch.labels,
        batch.old_features,
        batch.twin_features,
        maps=maps_of(head_of(objective)),
        classifier=weight_and_bias(objective.classifier.linear),
        means=objective.prototypes,
        weights=(
            options.classification_weight,
            options.twin_weight,
            options.prototype_weight,
            options.alignment_weight,
        ),
    )
    inputs = [batch.features, *objective.parameters()]
    assert_same_with_gradients(total(objective, batch), expected, inputs)


def test_vectors_equal_the_reference() -> None:
    head = trained_a_little(build(OPTIONS, random_setting()).double()).head
    assert isinstance(head, BasisChangeHead)
    features = torch.randn(5, IN_DIM, dtype=torch.float64)
    expected = torch.stack([reference.vector(x, maps_of(head))[1] for x in features])
    torch.testing.assert_close(head(features), expected)


def test_the_defaults_are_those_of_the_paper() -> None:
    options = Options()
    assert (options.twin_weight, options.prototype_weight, options.alignment_weight) == (1, 10, 5)
    assert (options.to_add_dim, options.radius, options.classification_weight) == (32, 2, 1)
    assert (options.label_smoothing, options.old_scale, options.new_scale) == (0, 1, 1)
    assert not options.cosine


def test_gradcheck() -> None:
    objective = build(replace(OPTIONS, old_scale=3, label_smoothing=0.1), random_setting())
    batch = random_batch(4)

    def loss(features: Tensor) -> Tensor:
        given = CompatBatch(features, batch.old_features, batch.labels, batch.twin_features)
        return total(objective.double(), given)

    assert torch.autograd.gradcheck(loss, (batch.features,))


@pytest.mark.parametrize("radius", [1.0, 2.0, 3.5])
@pytest.mark.parametrize("old_dim", [2, ADDED, 6, DIM - 1])
def test_every_vector_has_the_same_norm_and_nothing_is_lost(radius: float, old_dim: int) -> None:
    head = BasisChangeHead(replace(SIZES, radius=radius, old_dim=old_dim)).double()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(torch.randn_like(parameter))
        features = 10 * torch.randn(20, IN_DIM, dtype=torch.float64)
        vectors = head(features)
        twin, added = head.split(features)
        # phi back to f and g, by the transposes of Q and P
        joined = vectors.clone()
        joined[:, :old_dim] = vectors[:, :old_dim] @ weight_and_bias(head.outer.linear)[0]
        back = joined[:, ADDED:] @ weight_and_bias(head.inner.linear)[0] / radius
    assert vectors.shape == (20, DIM)
    expected = torch.full((20,), 1 + radius**2, dtype=torch.float64)
    # the maps were made in float32
    torch.testing.assert_close(vectors.square().sum(dim=1), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(joined[:, :ADDED], added, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(back, twin, rtol=1e-5, atol=1e-5)


def constant_batch(features: Tensor) -> CompatBatch:
    rng = torch.Generator().manual_seed(5)
    n = len(features)
    old = torch.randn(n, OLD_DIM, generator=rng)
    twin = torch.randn(n, TWIN_DIM, generator=rng)
    return CompatBatch(features, old, torch.arange(n) % N_CLASSES, twin)


def test_maps_stay_orthogonal_and_norms_constant_over_200_steps() -> None:
    objective = build(OPTIONS, random_setting()).float()
    before = objective.prototypes.clone()
    start = [weight_and_bias(layer.linear)[0].detach().clone() for layer in layers(objective)]
    losses = train_steps(objective, constant_batch, dim=IN_DIM, n_steps=200)
    assert losses[-1] < losses[0] - 1
    assert torch.equal(objective.prototypes, before)
    for layer, first in zip(layers(objective), start, strict=True):
        weight = weight_and_bias(layer.linear)[0].detach()
        assert (weight @ weight.T - torch.eye(len(weight))).abs().max() <= 1e-5
        assert (weight - first).abs().max() > 1e-2  # it was trained
    squares = objective.head(torch.randn(50, IN_DIM)).square().sum(dim=1)
    torch.testing.assert_close(squares, torch.full((50,), 5.0), rtol=1e-5, atol=1e-5)


def layers(objective: BT2) -> tuple[OrthogonalLayer, OrthogonalLayer]:
    head = head_of(objective)
    return head.inner, head.outer


def test_the_head_stays_float32_under_autocast() -> None:
    head = BasisChangeHead(SIZES)
    features = torch.randn(9, IN_DIM)
    with torch.no_grad():
        expected = head(features)
        with torch.autocast("cpu", torch.bfloat16):
            found = head(features)
            half = head(features.bfloat16())
    assert found.dtype == half.dtype == torch.float32
    assert torch.equal(found, expected)
    torch.testing.assert_close(half.square().sum(dim=1), torch.full((9,), 5.0))


def test_targets_never_get_gradients() -> None:
    objective, batch = build(OPTIONS, random_setting()).double(), random_batch()
    assert batch.old_features is not None
    assert batch.twin_features is not None
    batch.old_features.requires_grad_()
    batch.twin_features.requires_grad_()
    total(objective, batch).backward()  # type: ignore[no-untyped-call]
    assert batch.old_features.grad is None
    assert batch.twin_features.grad is None
    assert batch.features.grad is not None


def test_features_that_agree_with_both_models_have_no_loss_of_agreement() -> None:
    objective, batch = build(OPTIONS, random_setting()).double(), random_batch()
    with torch.no_grad():
        new, vectors = objective.parts(batch.features)
    agreed = CompatBatch(batch.features, vectors[:, :OLD_DIM], batch.labels, 7 * new)
    terms = objective(agreed)
    assert float(terms["twin"].detach()) == pytest.approx(0, abs=1e-12)
    assert float(terms["alignment"].detach()) == pytest.approx(0, abs=1e-12)


def test_what_it_needs_and_declares() -> None:
    objective = build_objective("bt2", {"to_add_dim": ADDED}, random_setting())
    assert objective.contract == Contract(ContractKind.PREFIX, OLD_DIM)
    assert needs_of(objective) == Needs(old_features=True, twin_features=True, raw_features=True)


@pytest.mark.parametrize("missing", ["old", "twin"])
def test_a_batch_without_targets_is_refused(missing: str) -> None:
    objective, batch = build(OPTIONS, random_setting()).double(), random_batch()
    with pytest.raises(InvalidInputError, match=f"no features of the {missing} model"):
        objective(replace(batch, **{f"{missing}_features": None}))  # type: ignore[arg-type]  # by name


def test_a_missing_model_is_refused() -> None:
    setting = random_setting()
    with pytest.raises(InvalidInputError, match="'bt2' needs an old model"):
        build(OPTIONS, replace(setting, old_features=None))
    with pytest.raises(InvalidInputError, match="'bt2' needs a twin") as info:
        build(OPTIONS, replace(setting, twin_features=None))
    assert "train objective 'independent' first" in str(info.value.hint)


@pytest.mark.parametrize("old_dim", [DIM, DIM + 4])
def test_an_old_space_that_leaves_nothing_over_is_refused(old_dim: int) -> None:
    """d_old = d_new + a, at which slicing by negative numbers takes everything."""
    setting = replace(random_setting(), old_features=torch.randn(N, old_dim), dim=40)
    with pytest.raises(DimensionMismatchError, match="nothing is left over") as info:
        build(OPTIONS, setting)
    assert f"any value above {old_dim - TWIN_DIM}" in str(info.value.hint)
    assert build(Options(to_add_dim=old_dim - TWIN_DIM + 1), setting).contract == Contract(
        ContractKind.PREFIX, old_dim
    )


def test_a_backbone_too_narrow_for_the_twin_is_refused() -> None:
    with pytest.raises(DimensionMismatchError, match="twin has 5 dimensions but") as info:
        build(OPTIONS, replace(random_setting(), dim=4))
    assert "dim = 11" in str(info.value.hint)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"to_add_dim": 0}, "to_add_dim must be at least 1"),
        ({"radius": 0}, "radius must be above 0"),
        ({"twin_weight": -1}, "weights"),
        ({"label_smoothing": -0.1}, "label_smoothing"),
        ({"old_scale": 0}, "old_scale"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Options(**options)  # type: ignore[arg-type]


# --- what is deployed


def encoder_in_training() -> Encoder:
    options: dict[str, Json] = {"in_features": 10, "dim": IN_DIM, "hidden": [8]}
    network = build_backbone("mlp", options)
    return Encoder(network, dim=IN_DIM, backbone_name="mlp", backbone_options=options)


def test_a_baked_head_gives_the_same_vectors_with_plain_weights() -> None:
    head = trained_a_little(build(OPTIONS, random_setting()).float()).head
    plain, features = baked(head), torch.randn(9, IN_DIM)
    torch.testing.assert_close(plain(features), head(features))
    assert set(plain.state_dict()) == {
        "added.weight",
        "added.bias",
        "inner.linear.weight",
        "outer.linear.weight",
    }
    assert any("original" in name for name in head.state_dict())  # the head itself stays trainable


def test_backbone_and_head_are_deployed_saved_and_loaded(tmp_path: Path) -> None:
    encoder = encoder_in_training().eval()
    objective = trained_a_little(build(OPTIONS, random_setting()).float())
    deployed = with_head(encoder, objective.head, objective="bt2")
    inputs = torch.randn(12, 10)
    expected = functional.normalize(objective.head(encoder.features(inputs)))
    assert deployed.dim == DIM
    torch.testing.assert_close(deployed(inputs), expected)

    save_encoder(deployed, tmp_path / "artifact", canaries=inputs[:2])
    loaded = load_encoder(tmp_path / "artifact")
    assert fingerprint(loaded) == fingerprint(deployed)
    assert torch.equal(loaded(inputs), deployed(inputs))
    assert describe(loaded).architecture["head"] == {
        "objective": "bt2",
        "options": {
            "in_dim": IN_DIM,
            "old_dim": OLD_DIM,
            "twin_dim": TWIN_DIM,
            "to_add_dim": ADDED,
            "radius": 2.0,
        },
    }


def test_a_backbone_of_ones_own_gets_its_head_back(tmp_path: Path) -> None:
    def network() -> nn.Module:
        return nn.Sequential(nn.Linear(10, IN_DIM), nn.Tanh())

    objective = build(OPTIONS, random_setting()).float()
    encoder = Encoder(network(), dim=IN_DIM).eval()
    deployed = with_head(encoder, objective.head, objective="bt2")
    save_encoder(deployed, tmp_path / "artifact")
    loaded = load_encoder(tmp_path / "artifact", backbone=network)
    inputs = torch.randn(3, 10)
    assert torch.equal(loaded(inputs), deployed(inputs))


def test_the_deployed_encoder_follows_the_backbone_but_not_the_head() -> None:
    encoder, objective = encoder_in_training().eval(), build(OPTIONS, random_setting()).float()
    deployed, inputs = with_head(encoder, objective.head, objective="bt2"), torch.randn(3, 10)
    before = deployed(inputs)
    trained_a_little(objective)
    assert torch.equal(deployed(inputs), before)
    with torch.no_grad():
        next(encoder.parameters()).add_(1)
    assert not torch.equal(deployed(inputs), before)


def test_without_a_head_the_encoder_is_deployed_itself() -> None:
    encoder = encoder_in_training()
    assert with_head(encoder, nn.Identity(), objective="oca") is encoder
    assert "head" not in describe(encoder).architecture


def test_heads_are_refused_that_cannot_be_built_again() -> None:
    encoder, head = encoder_in_training(), BasisChangeHead(SIZES)
    with pytest.raises(InvalidInputError, match="no 'dim' or no 'options'"):
        with_head(encoder, nn.Linear(IN_DIM, 3), objective="third")
    deployed = with_head(encoder, head, objective="bt2")
    with pytest.raises(InvalidInputError, match="has the head of objective 'bt2' already"):
        with_head(deployed, head, objective="bt2")
    with pytest.raises(InvalidInputError, match="'oca' deploys no head"):
        build_head("oca", {})
    with pytest.raises(NotFoundError, match="no option of head of 'bt2'"):
        build_head("bt2", {"in_dims": 3})
    with pytest.raises(InvalidInputError, match="size of a basis change must be at least 1"):
        replace(SIZES, old_dim=0)


def test_raw_features_are_those_before_normalisation() -> None:
    encoder, inputs = encoder_in_training().eval(), torch.randn(4, 10)
    raw = encoder.features(inputs)
    torch.testing.assert_close(raw, encoder.backbone(inputs))
    torch.testing.assert_close(functional.normalize(raw), encoder(inputs))
